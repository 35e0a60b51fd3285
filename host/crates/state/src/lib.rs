//! State backends behind the state port, and the files of state that checkpoints are made of.
//!
//! Knows keys, entries, generations and files; knows neither guests nor barriers. Modules stand in reading
//! order; a module imports only modules named above it.

mod paged;
mod inline;
mod varint;
mod call;
mod directory;
mod write_set;
mod overlay;
mod page;
mod changes;
mod file;
mod expiry;
mod gathered;
mod priority;
mod ordered;
mod ahead;
mod frozen;
mod cold;
mod hot;
mod rocksdb;
#[cfg(test)]
mod conformance;

pub use cold::Nothing;
pub use file::{EntryReader, Merger};
pub use hot::{Backend, MemoryBackend};
pub use priority::{stand_back, worked};
pub use rocksdb::{LocalDatabase, RocksDbBackend};
