//! The graph a job declares → checked graph → tasks. Pure: text and facts in, decisions out.
//!
//! [`document`] is the job document as its author wrote it; [`plan`] is what the runtime runs. Everything between is a
//! plain function. Modules stand in reading order; a module imports only modules named above it.

pub mod quantity;
pub mod document;
pub mod plan;

pub use document::JobDocument;
pub use plan::JobPlan;
