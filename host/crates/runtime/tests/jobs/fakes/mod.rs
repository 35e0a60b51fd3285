//! The parts that tests give to the runtime.

pub(crate) mod letters;
pub(crate) mod state;
pub(crate) mod sluice;
pub(crate) mod store;
pub(crate) mod feed;
pub(crate) mod shelf;
pub(crate) mod tape;
pub(crate) mod book;
pub(crate) mod native;
pub(crate) mod world;

pub(crate) use book::Book;
pub(crate) use feed::{Feed, Step, events};
pub(crate) use native::Native;
pub(crate) use shelf::Shelf;
pub(crate) use sluice::Sluice;
pub(crate) use store::MemoryStore;
pub(crate) use tape::Tape;
pub(crate) use world::{Running, World};

/// How long a test waits for what must happen before it gives up. Nothing that works comes near it.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
