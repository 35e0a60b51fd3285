//! What sinks promise, seen from outside: what becomes visible, when, and how often.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod world;
mod server;
mod kinds;
mod promises;
mod crashes;
mod file;
mod postgres;
