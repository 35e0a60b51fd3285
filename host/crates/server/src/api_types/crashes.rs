//! Crash bundles on the wire.

use gristmill_ports::crash::{CrashBundle, KeptCrash};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time;

/// The crash bundles of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrashList {
    /// Oldest first.
    pub crashes: Vec<CrashView>,
}

/// A crash bundle, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrashView {
    /// Its name.
    pub name: String,
    /// Bytes of its file, without the module.
    pub bytes: u64,
    /// What it holds; null if it is damaged.
    pub call: Option<CrashedCall>,
    /// What is wrong with it; null if nothing is.
    pub damaged: Option<String>,
}

/// A call that ended in a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrashedCall {
    /// When.
    pub at: String,
    /// In which operator.
    pub operator: String,
    /// In which subtask of it.
    pub subtask: u32,
    /// The hash of the module.
    pub module: String,
    /// The sort of fault, such as `trap` or `deadline`.
    pub kind: String,
    /// The fault in words.
    pub message: String,
    /// The guest's stack at that moment, innermost frame first.
    pub backtrace: Vec<String>,
    /// Events of the call.
    pub events: usize,
    /// Entries of state that the call could see.
    pub entries: usize,
    /// Calls that the instance had handled before; what they left in its memory is not in the bundle.
    pub calls_before: u64,
    /// What the call could see and the bundle does not have.
    pub left_out: Vec<String>,
}

impl From<KeptCrash> for CrashView {
    fn from(kept: KeptCrash) -> Self {
        let KeptCrash { name, bytes, bundle } = kept;
        let (call, damaged) = match bundle {
            Ok(bundle) => (Some(CrashedCall::from(bundle)), None),
            Err(why) => (None, Some(why)),
        };
        Self { name: name.to_string(), bytes, call, damaged }
    }
}

impl From<CrashBundle> for CrashedCall {
    fn from(bundle: CrashBundle) -> Self {
        Self {
            at: time(bundle.at_ms),
            operator: bundle.operator.to_string(),
            subtask: bundle.instance.subtask.0,
            module: bundle.module.to_string(),
            kind: bundle.fault.kind.as_str().to_owned(),
            message: bundle.fault.message,
            backtrace: bundle.fault.backtrace,
            events: bundle.events.len(),
            entries: bundle.states.iter().map(|state| state.entries.len()).sum(),
            calls_before: bundle.instance.calls,
            left_out: bundle.left_out,
        }
    }
}
