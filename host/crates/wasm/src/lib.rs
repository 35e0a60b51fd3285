//! Loads, limits and calls guests; serves their imports. The only crate that knows wasmtime.
//!
//! Bytes come in through [`WasmModules`], which implements the `ModuleRegistry` port; what goes out implements the
//! `Operator` and `Migrator` ports. In between, in reading order: what a store holds and how a guest is held within its limits; what a
//! guest may call (`imports`); how uploaded bytes become compiled code (`surface` to `module`); how a module is asked
//! what it is (`descriptor` to `describe`); how events are handed to it (`outcome` to `event_operator`); and how it rewrites
//! state (`migrated`, `guest_migrator`).
//!
//! It knows nothing of jobs, threads, retries or checkpoints: a call that failed is reported, what follows from it is
//! decided elsewhere.

mod bindings;
mod ticker;
mod deadline;
mod engine;
mod limits;
mod fault;
mod log_gate;
mod guest_time;
mod guest_data;
mod imports;
mod refusal;
mod surface;
mod bulk;
mod encode;
mod cache;
mod module;
mod instance;
mod parameters;
mod descriptor;
mod describe;
mod seat;
mod outcome;
mod guest_operator;
mod event_operator;
mod migrated;
mod guest_migrator;
mod guest_inspector;
mod registry;

pub use registry::{WasmModules, WasmOptions};
