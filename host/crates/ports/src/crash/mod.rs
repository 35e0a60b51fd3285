//! Crash bundles: a call of an operator that ended in a fault, with all that is needed to make it again elsewhere.

mod name;
mod bundle;
mod record;
mod store;

pub use bundle::{CallRecord, CrashBundle, EntryBefore, StateBefore};
pub use name::{CrashName, NotACrashName};
pub use store::{CrashStore, KeptCrash, NoCrashes};
