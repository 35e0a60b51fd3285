//! The vocabulary of Gristmill: ids, event batches, key groups, stream elements, descriptors and failures.
//!
//! Plain data. Nothing here does I/O, reads a clock or knows a library of the outside world. Modules stand in reading
//! order; a module imports only modules named above it.

pub mod id;
pub mod event_time;
pub mod key_group;
pub mod column;
pub mod batch;
pub mod barrier;
pub mod element;
pub mod failure;
pub mod outcome;
pub mod descriptor;
pub mod dead_letter;

pub use barrier::{CheckpointBarrier, CheckpointId, CheckpointKind, SwapId};
pub use batch::EventBatch;
pub use column::{Column, ColumnError};
pub use dead_letter::DeadLetter;
pub use descriptor::Descriptor;
pub use element::StreamElement;
pub use event_time::Watermark;
pub use failure::CallFailure;
pub use id::{
    AttemptId, InputIndex, JobId, ModuleHash, ModuleName, NodeId, PortIndex, RunId, StateIndex, SubtaskIndex,
};
pub use key_group::{KeyGroup, KeyGroupRange, MaxParallelism, Parallelism, key_hash};
pub use outcome::{Emission, MetricUpdate, Outcome, Rejection, Rows};
