//! The graph a job declares → checked graph → tasks. Pure: text and facts in, decisions out.
//!
//! [`document`] is the job document as its author wrote it; [`mod@plan`] is what the runtime runs. Everything between is
//! a plain function: text → [`JobDocument::parse`] → [`validate_offline`] → [`plan()`] with what the modules declare.
//! Modules stand in reading order; a module imports only modules named above it.

pub mod quantity;
pub mod document;
mod names;
mod position;
mod problem;
mod parse;
pub mod json_path;
pub mod environment;
pub mod plan;
mod graph;
mod wiring;
mod validate;
mod chaining;
mod describe;
mod rescale;

pub use chaining::plan;
pub use describe::describe;
pub use document::JobDocument;
pub use names::nearest;
pub use parse::{DocumentError, MAX_DOCUMENT_BYTES, canonical_json};
pub use plan::JobPlan;
pub use position::{Position, Positions, locate};
pub use problem::{Problem, Severity, place};
pub use rescale::{NotRescaled, Rescale, Rescaled, rescale};
pub use validate::{validate, validate_offline};
pub use wiring::Descriptors;
