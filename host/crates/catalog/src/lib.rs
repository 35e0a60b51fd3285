//! What survives a restart: modules, jobs, operations, answers in a redb file, module bytes and dead letters beside it.
//!
//! One directory, owned by one host at a time. Knows files; knows neither jobs at run time nor HTTP. Modules stand in
//! reading order; a module imports only modules named above it.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod trouble;
mod record;
mod data_dir;
mod module_files;
mod redb_file;
mod store;
mod modules;
mod jobs;
mod operations;
mod answers;
mod audit_file;
mod letter_rows;
mod dead_letters;
mod crash_files;
mod catalog;

pub use catalog::FileCatalog;
pub use crash_files::{CrashFiles, CrashLimits};
