//! State backends behind the state port: the memory backend.
//!
//! Knows keys, entries and generations; knows neither guests nor checkpoints nor threads. Modules stand in reading
//! order; a module imports only modules named above it.

mod paged;
mod inline;
mod call;
mod directory;
mod write_set;
mod overlay;
mod page;
mod changes;
mod memory;

pub use memory::MemoryBackend;
