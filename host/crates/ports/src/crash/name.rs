//! What a bundle is called.

use std::fmt;
use std::str::FromStr;

use gristmill_types::{ModuleHash, NodeId, key_hash};

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
