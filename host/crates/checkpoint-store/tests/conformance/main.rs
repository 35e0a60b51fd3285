//! What every checkpoint store promises, asked of a folder and of a real S3 server; what only one of them can break; and
//! what the files of a run promise over any store.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod promises;
mod s3_server;
mod s3_store;
mod gate;
mod folder;
mod bucket;
mod run_files;
mod faults;
