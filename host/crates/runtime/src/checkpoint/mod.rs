//! Checkpoints in motion: what subtasks hand over, who makes it durable, stores, commits and merges.
//!
//! Decides nothing: that is `gristmill-checkpoint`. Each thread here does one kind of I/O and tells the driver of the
//! attempt what came of it.

pub(crate) mod told;
pub(crate) mod patience;
pub(crate) mod attempt_files;
pub(crate) mod cut;
pub(crate) mod desk;
pub(crate) mod storer;
pub(crate) mod committer;
pub(crate) mod merger;
pub(crate) mod archivist;
pub(crate) mod chain_reader;
pub(crate) mod restored;
pub(crate) mod rescaled;
pub(crate) mod history;
