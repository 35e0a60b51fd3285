//! Where checkpoints are kept: a folder of this machine, or an object store.
//!
//! Knows names and bytes; knows nothing of what they mean, neither chains nor manifests. Modules stand in reading order;
//! a module imports only modules named above it.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod trouble;
mod stored_path;
mod local_dir;
mod object_storage;
mod open;
mod content;
mod copies;
mod run_files;
#[cfg(feature = "testing")]
pub mod faulty;

pub use local_dir::LocalDir;
pub use object_storage::ObjectStorage;
pub use open::{missing_folder, open};
pub use run_files::RunFiles;
