//! The sockets everything plugs into: traits and the errors that cross them.
//!
//! No tokio, wasmtime, rocksdb or axum type stands in a signature here; that is what lets tests run the runtime on
//! fakes. Modules stand in reading order; a module imports only modules named above it.

pub mod clock;
pub mod signal;
pub mod veil;
pub mod error;
pub mod checkpoint_store;
pub mod source;
pub mod ingress;
pub mod format;
pub mod sink;
pub mod state;
pub mod stateless;
pub mod telemetry;
pub mod migration;
pub mod inspection;
pub mod operator;
pub mod module_registry;
pub mod crash;
pub mod catalog;
pub mod dead_letters;
pub mod audit;
pub mod parts;

pub use checkpoint_store::{CheckpointStore, FileStore};
pub use clock::Clock;
pub use crash::CrashStore;
pub use error::{ErrorKind, PortError};
pub use inspection::Inspector;
pub use migration::Migrator;
pub use operator::{Call, Operator, OperatorContext, OperatorFactory};
pub use parts::Parts;
pub use signal::Signal;
pub use sink::{Committer, Sink, StagedOutput};
pub use source::{SourceBatch, SourceReader};
pub use state::StateBackend;
pub use stateless::Stateless;
pub use veil::Veil;
