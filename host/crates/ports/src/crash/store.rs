//! Where bundles are kept.

use std::fmt;
use std::str::FromStr;

use gristmill_types::{JobId, ModuleHash, NodeId, key_hash};

use crate::crash::bundle::CrashBundle;
use crate::error::PortError;

/// Digits of the hash in a name.
const DIGITS: usize = 16;

/// The name of a bundle in its job: the operator, and a hash of module and fault. Also that of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CrashName(Box<str>);

impl CrashName {
    /// The name of the bundle of a fault, if one is kept.
    #[must_use]
    pub fn of(operator: &NodeId, module: ModuleHash, kind: &str, message: &str, backtrace: &[String]) -> Self {
        let module = module.to_string();
        let said = [module.as_str(), kind, message].into_iter().chain(backtrace.iter().map(String::as_str));
        let said = said.collect::<Vec<_>>().join("\n");
        Self(format!("{operator}-{:016x}", key_hash(said.as_bytes())).into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CrashName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is no name of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a crash bundle, such as parse-00c0ffee00c0ffee")]
pub struct NotACrashName(String);

impl FromStr for CrashName {
    type Err = NotACrashName;
    fn from_str(text: &str) -> Result<Self, NotACrashName> {
        let is_hash = |digits: &str| digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match text.rsplit_once('-') {
            Some((operator, digits)) if is_hash(digits) && operator.parse::<NodeId>().is_ok() => Ok(Self(text.into())),
            Some(_) | None => Err(NotACrashName(text.to_owned())),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_file_and_of_one_fault() {
        let operator: NodeId = "parse-it".parse().expect("an id");
        let name = |message: &str| CrashName::of(&operator, ModuleHash([7; 32]), "trap", message, &["f".to_owned()]);
        assert_eq!(name("a").as_str().parse(), Ok(name("a")));
        assert_ne!(name("a"), name("b"));
        for wrong in ["", "parse-it", "../etc-0123456789abcdef", "0123456789abcdef", "a/b-0123456789abcdef", "a-012345"]
        {
            assert!(wrong.parse::<CrashName>().is_err(), "{wrong}");
        }
    }
}
