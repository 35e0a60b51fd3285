//! Files of state: sorted changes, which checkpoints are made of. See `docs/design/0004-files-of-state.md`.
//!
//! Knows local files and [`FileStore`](gristmill_ports::FileStore); knows no backend.

mod entry;
mod codec;
mod writer;
mod reader;
mod merge;
mod merger;
mod entries;

pub use entries::EntryReader;
pub(crate) use entry::{BEFORE_TIME, Change, Entry, Stored};
pub(crate) use merge::{Merged, Rule, common};
pub use merger::Merger;
pub(crate) use writer::FileWriter;
