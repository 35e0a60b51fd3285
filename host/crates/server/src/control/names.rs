//! What a name in a path may mean.

use std::fmt;
use std::str::FromStr;

use gristmill_types::{ModuleHash, ModuleName};

/// Digits of a hash that stand for it at least.
const SHORTEST_PREFIX: usize = 6;

/// A module as a path or a query names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleRef {
    /// By its bytes.
    Hash(ModuleHash),
    /// By `name@version`.
    Name(ModuleName),
    /// By the beginning of its hash: at least six hexadecimal digits, in lower case.
    Prefix(String),
}

/// A text that is neither a hash nor a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a module: write name@version, such as enrich@1.2.0, or the hexadecimal digits of its hash, all 64 or \
     at least the first 6"
)]
pub struct NotAModuleRef(String);

impl FromStr for ModuleRef {
    type Err = NotAModuleRef;
    fn from_str(text: &str) -> Result<Self, NotAModuleRef> {
        match (text.parse(), text.parse()) {
            (Ok(hash), _) => Ok(Self::Hash(hash)),
            (Err(_), Ok(name)) => Ok(Self::Name(name)),
            (Err(_), Err(_)) if is_prefix(text) => Ok(Self::Prefix(text.to_ascii_lowercase())),
            (Err(_), Err(_)) => Err(NotAModuleRef(text.to_owned())),
        }
    }
}

fn is_prefix(text: &str) -> bool {
    (SHORTEST_PREFIX..64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

impl fmt::Display for ModuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => hash.fmt(f),
            Self::Name(name) => name.fmt(f),
            Self::Prefix(digits) => digits.fmt(f),
        }
    }
}

/// Whether a text may be the name of a savepoint: it is that of a folder too.
pub(super) fn is_savepoint_name(text: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= 64
        && text.bytes().all(alphabet)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_savepoint_is_named_as_a_folder_can_be() {
        for good in ["before-2", "A.b_c", "7", &"x".repeat(64)] {
            assert!(is_savepoint_name(good), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "a b", "\u{e4}", &"x".repeat(65)] {
            assert!(!is_savepoint_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_module_is_named_by_its_hash_its_beginning_or_a_name() {
        let hash = ModuleHash([7; 32]);
        assert_eq!(hash.to_string().parse(), Ok(ModuleRef::Hash(hash)));
        assert_eq!("a@1".parse(), Ok(ModuleRef::Name("a@1".parse().expect("a name"))));
        assert_eq!("00C0ffee".parse(), Ok(ModuleRef::Prefix("00c0ffee".to_owned())));
        for short in ["c0ffe", "", "c0ffee!", &"0".repeat(65)] {
            short.parse::<ModuleRef>().expect_err("neither");
        }
        let refused = "nonsense".parse::<ModuleRef>().expect_err("neither");
        assert!(refused.to_string().starts_with("`nonsense` is not a module: write name@version"));
    }
}
