//! Where bundles are kept.

use gristmill_types::JobId;

use crate::crash::bundle::CrashBundle;
use crate::crash::name::CrashName;
use crate::error::PortError;

/// A bundle as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCrash {
    /// Its name.
    pub name: CrashName,
    /// Bytes of its file.
    pub bytes: u64,
    /// What it holds, or what is wrong with it.
    pub bundle: Result<CrashBundle, String>,
}

/// Keeps crash bundles, bounded in number and size, one for each fault of a module: the first.
///
/// # Errors
/// Every function that has any: `Fatal` if the store cannot be read or written.
#[expect(clippy::missing_errors_doc, reason = "one sentence above serves all")]
pub trait CrashStore: Send + Sync {
    /// How many bytes a bundle of this name may have; `None` if none is wanted, such as when there is one. Cheap: called by
    /// subtasks.
    fn room(&self, job: &JobId, name: &CrashName, now_ms: i64) -> Option<usize>;
    /// Takes a bundle to be written elsewhere than on the caller's thread; `false` if it is not taken after all. One that
    /// cannot be written is only logged: it never harms the job.
    fn keep(&self, bundle: CrashBundle) -> bool;
    /// The bundles of a job, oldest first. Blocks.
    fn list(&self, job: &JobId) -> Result<Vec<KeptCrash>, PortError>;
    /// The file of a bundle. Blocks.
    fn get(&self, job: &JobId, name: &CrashName) -> Result<Option<Vec<u8>>, PortError>;
    /// Deletes a bundle; the next fault of its name is kept again. Whether there was one. Blocks.
    fn delete(&self, job: &JobId, name: &CrashName) -> Result<bool, PortError>;
    /// Whether there is a bundle of this name. Cheap.
    fn has(&self, job: &JobId, name: &CrashName) -> bool;
    /// Deletes all bundles of a job. Blocks.
    fn forget(&self, job: &JobId) -> Result<(), PortError>;
}

/// Keeps none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCrashes;

impl CrashStore for NoCrashes {
    fn room(&self, _: &JobId, _: &CrashName, _: i64) -> Option<usize> {
        None
    }
    fn keep(&self, _: CrashBundle) -> bool {
        false
    }
    fn list(&self, _: &JobId) -> Result<Vec<KeptCrash>, PortError> {
        Ok(Vec::new())
    }
    fn get(&self, _: &JobId, _: &CrashName) -> Result<Option<Vec<u8>>, PortError> {
        Ok(None)
    }
    fn delete(&self, _: &JobId, _: &CrashName) -> Result<bool, PortError> {
        Ok(false)
    }
    fn has(&self, _: &JobId, _: &CrashName) -> bool {
        false
    }
    fn forget(&self, _: &JobId) -> Result<(), PortError> {
        Ok(())
    }
}
