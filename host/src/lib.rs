//! The Gristmill host: configuration, wiring, signals, and the command line.
//!
//! [`wiring`] is the only place that builds the parts of other crates. [`serve`] is the host as a server, [`local`] one job
//! in one process, [`cli`] a client of the REST API.

pub mod clock;
mod words;
pub mod telemetry;
pub mod shutdown;
mod memory;
pub mod wiring;
pub mod local;
pub mod serve;
mod inspect;
mod replay;
pub mod cli;
#[cfg(feature = "failpoints")]
pub mod failpoints;
