//! Crash bundles: a call of an operator that ended in a fault, with all that is needed to make it again elsewhere.

mod bundle;
mod record;
mod store;

pub use bundle::{CallRecord, CrashBundle, EntryBefore, StateBefore};
pub use store::{CrashName, CrashStore, KeptCrash, NoCrashes};
