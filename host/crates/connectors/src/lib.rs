//! Sources, sinks and formats: how events come into the host and leave it.
//!
//! [`Connectors`] makes the readers, writers and key selectors that a job document asks for. A reader is polled by one
//! thread and woken from the runtime that serves sockets and timers; nothing here knows operators, tasks or channels.
//! Modules stand in reading order; a module imports only modules named above it.

#[cfg(test)]
mod fixture;
mod alarm;
mod lines;
mod arrivals;
mod format;
mod source;
mod sink;
mod connectors;

pub use connectors::Connectors;
