//! Which barrier, which checkpoint, may we commit: the protocol of checkpoints as plain functions.
//!
//! No I/O, no threads, no clock, no chance: facts go in, decisions come out, and somebody else acts on them. Modules
//! stand in reading order; a module imports only modules named above it.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod framed;
mod readable;
pub mod file;
pub mod committable;
pub mod snapshot;
pub mod share;
pub mod manifest;
pub mod permit;
pub mod chain;
pub mod savepoint;
pub mod layout;
pub mod fit;
pub mod seating;
pub mod recovery;
pub mod lineage;
pub mod retention;
pub mod coordinator;
pub mod swap;

pub use chain::{Before, ChainEntry, Claim, Slot};
pub use committable::{Committable, CommittableId};
pub use coordinator::{Action, Coordinator, Event};
pub use file::{FileHash, FileRef};
pub use layout::{RunFolder, SavepointFolder};
pub use manifest::{Manifest, PageRef};
pub use permit::CommitPermit;
pub use savepoint::Savepoint;
pub use seating::Seating;
pub use share::{CanaryRef, ServedGroups, Share};
pub use snapshot::{NodeSnapshot, SplitPosition, StateFile};
