//! The REST control API: what the host can be asked for, and how it answers over HTTP.
//!
//! `control` does the work and knows no HTTP; everything after it turns requests into calls of it and its answers into
//! JSON. Modules stand in reading order; a module imports only modules named above it.

mod access;
mod tokens;
mod options;
pub mod control;
pub mod api_types;
mod problem;
mod extract;
mod body;
mod auth;
mod guard;
mod idempotency;
mod audit;
mod sse;
#[expect(unused_qualifications, reason = "utoipa's macro writes `<T as Trait>` of what it is handed")]
mod routes;
mod serve;

pub use access::{NotARole, Role};
pub use control::{Control, ControlParts};
pub use options::{ServerOptions, UnsafeOptions};
pub use routes::{openapi, router};
pub use serve::serve;
pub use tokens::{BadTokens, KnownToken};
