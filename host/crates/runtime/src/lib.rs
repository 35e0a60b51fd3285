//! Runs a job: subtasks as threads, exchanges between them, every operator call a transaction.
//!
//! The runtime knows traits only: no concrete source, sink, state backend or Wasm engine is named here. Each subtask is
//! an OS thread that calls its operators; nobody else touches their state. Modules stand in reading order; a module
//! imports only modules named above it.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod report;
mod call_times;
mod counters;
pub mod shadow;
pub mod event;
mod states;
mod right_of_return;
pub mod canary;
pub mod swap;
mod state_access;
mod tap;
mod watermark;
mod control;
mod exchange;
mod ending;
mod written;
mod failure;
mod checkpoint;
mod task;
pub mod job;

pub use canary::Served;
pub use checkpoint::history::{
    CheckpointOutcome, CheckpointReport, CheckpointsReport, RestartReport, Spread, StoringTrouble, SubtaskCheckpoint,
};
pub use event::{JobEvent, JobEventKind};
pub use job::canary_wish::CanaryReport;
pub use job::forget::forget_run;
pub use job::handle::{JobHandle, NotRunning};
pub use job::launch::{resume, resume_open, start};
pub use job::modules::OpenSwap;
pub use job::origin::{fit_savepoint, read_savepoint};
pub use job::origin_trial::try_savepoint;
pub use job::prepare::{ModuleBytes, prepare};
pub use job::replay::ReplayError;
pub use job::spec::{JobSpec, OperatorParts, StartError, new_run};
pub use job::state::{IllegalTransition, JobStatus};
pub use job::state_wish::StateRefused;
pub use job::swap_states::MigrationTried;
pub use job::swap_terms::{SwapRefused, SwapTerms, WayBack};
pub use report::JobReport;
pub use shadow::{ShadowCounts, ShadowEvent, ShadowFailure, ShadowPolicy, ShadowReport, ShadowSample, ShadowStage};
pub use state_access::{Edited, FoundEntry, StateAddress, StateEdit, StateFound, StateLook};
pub use swap::{Rewritten, SubtaskPause, SwapReport};
pub use tap::TapEvent;
