//! The real binary, real guests, over REST and the command line. One test binary; a module for each promise.
//!
//! Guests are built before (`make guests guests-c`); a missing one fails its test with that hint.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, with a backtrace")]

mod host;
mod guests;
mod documents;
mod modules;
mod jobs;
mod watching;
mod letters;
mod lifetime;
mod recovery;
mod migrating;
mod swapping;
mod rescaling;
mod probation;
mod swap_crashes;
mod faulty_versions;
mod crashes;
mod shadowing;
mod canary;
#[path = "../../host/crates/checkpoint-store/tests/conformance/s3_server.rs"]
mod s3_server;
mod object_storage;
mod golden;
mod savepoints;
mod state;
mod run;
mod sources;
mod sinks;
mod keyed;
mod bad_input;
mod hostile;
mod command_line;
mod flights;
