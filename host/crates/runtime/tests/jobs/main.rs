//! Whole jobs in this process: scripted sources, collecting sinks and native operators behind the real ports.
//!
//! Nothing here sleeps to wait for something: sources and sinks say what was asked of them, and tests wait for that.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fakes;
mod flow;
mod control;
mod failures;
mod backpressure;
mod replay;
mod watching;
mod latency;
mod model;
mod counting;
mod recovery;
mod retained;
mod blows;
mod transactions;
mod savepoints;
mod swapping;
mod swap_waits;
mod untouched;
mod migrating;
mod versions;
mod story;
mod migrating_anyhow;
mod rescaling;
mod rewinding;
mod probation;
mod inspecting;
mod shadowing;
mod canary;
mod saved_midway;
