//! What a name in a path may mean.

use std::fmt;
use std::str::FromStr;

use gristmill_types::{ModuleHash, ModuleName};

/// A module as a path or a query names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleRef {
    /// By its bytes.
    Hash(ModuleHash),
    /// By `name@version`.
    Name(ModuleName),
}

/// A text that is neither a hash nor a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a module: write name@version, such as enrich@1.2.0, or the 64 hexadecimal digits of its hash")]
pub struct NotAModuleRef(String);

impl FromStr for ModuleRef {
    type Err = NotAModuleRef;
    fn from_str(text: &str) -> Result<Self, NotAModuleRef> {
        match (text.parse(), text.parse()) {
            (Ok(hash), _) => Ok(Self::Hash(hash)),
            (Err(_), Ok(name)) => Ok(Self::Name(name)),
            (Err(_), Err(_)) => Err(NotAModuleRef(text.to_owned())),
        }
    }
}

impl fmt::Display for ModuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => hash.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_by_hash_or_by_name() {
        let hash = ModuleHash([7; 32]);
        assert_eq!(hash.to_string().parse(), Ok(ModuleRef::Hash(hash)));
        assert_eq!("a@1".parse(), Ok(ModuleRef::Name("a@1".parse().expect("a name"))));
        let refused = "nonsense".parse::<ModuleRef>().expect_err("neither");
        assert!(refused.to_string().starts_with("`nonsense` is not a module: write name@version"));
    }
}
