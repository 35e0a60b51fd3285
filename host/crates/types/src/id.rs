//! Newtypes for every id and index, so that no bare number or string is mistaken for another.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A job or operator id outside the permitted alphabet or length.
    #[error("`{0}` is not an id: use 1 to 63 characters of a-z, 0-9, `-` and `_`, beginning with a letter or digit")]
    NotAnId(String),
    /// A module reference without its two halves.
    #[error("`{0}` is not a module name: write it as name@version, such as enrich@1.2.0")]
    NotAModuleName(String),
    /// A hash that is not 64 hexadecimal digits.
    #[error("`{0}` is not a module hash: it has 64 hexadecimal digits")]
    NotAHash(String),
    /// A run or an attempt that is not 16 hexadecimal digits.
    #[error("`{0}` is not the id of a run or an attempt: it has 16 hexadecimal digits")]
    NotARandomId(String),
}

fn is_id(text: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    let first = text.as_bytes().first().copied().unwrap_or(b'-');
    text.len() <= 63 && text.bytes().all(alphabet) && first != b'-' && first != b'_'
}

/// Text ids share one shape; the macro lists them and nothing more.
macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_id(text) { Ok(Self(text.into())) } else { Err(IdError::NotAnId(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

text_ids! {
    /// One submitted dataflow.
    JobId;
    /// A vertex of a job's graph: a source, an operator or a sink. Unique within its job; state is mapped by it.
    NodeId;
}

/// Ids drawn at random share one shape; the macro lists them and nothing more. People read sixteen hexadecimal digits,
/// records hold the number.
macro_rules! random_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let is_number = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let number = if is_number { u64::from_str_radix(text, 16).ok() } else { None };
                number.map(Self).ok_or_else(|| IdError::NotARandomId(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return u64::deserialize(deserializer).map(Self);
                }
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

random_ids! {
    /// One life of a job: from its submission until it is over. Another submission of the same job is another run; what
    /// is sent out under the name of a run is never mistaken for what an earlier one sent.
    RunId;
    /// One start of a run: another each time that its subtasks are started, by whichever host. A random number, so that
    /// no two hosts ever use the same.
    AttemptId;
}

/// Indices share one shape; the macro lists them and nothing more.
macro_rules! indices {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The place in a slice.
            #[must_use]
            pub fn at(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

indices! {
    /// Which parallel instance of a task, counted from zero.
    SubtaskIndex;
    /// An input, as its place in the module's descriptor.
    InputIndex;
    /// An output port, as its place in the module's descriptor.
    PortIndex;
    /// A state, as its place in the module's descriptor. Its lasting identity is (job, operator, state name).
    StateIndex;
}

/// The name under which a module was uploaded: `name@version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName {
    name: Box<str>,
    version: Box<str>,
}

impl ModuleName {
    /// The half before the `@`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The half after the `@`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl FromStr for ModuleName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let version_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_');
        match text.split_once('@') {
            Some((name, version))
                if is_id(name) && !version.is_empty() && version.len() <= 63 && version.bytes().all(version_byte) =>
            {
                Ok(Self { name: name.into(), version: version.into() })
            }
            _ => Err(IdError::NotAModuleName(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ModuleName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ModuleName> for String {
    fn from(name: ModuleName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// BLAKE3 of the bytes that were uploaded: the identity of a module, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleHash(pub [u8; 32]);

impl FromStr for ModuleHash {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError::NotAHash(text.to_owned());
        if text.len() != 64 || !text.is_ascii() {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| refuse())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ModuleHash {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ModuleHash> for String {
    fn from(hash: ModuleHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lower_case_letters_digits_dash_and_underscore() {
        for good in ["a", "orders-2", "9lives", "word_count"] {
            assert_eq!(good.parse::<JobId>().expect("a good id").as_str(), good);
        }
        for bad in ["", "-a", "_a", "Orders", "a b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_module_name_has_two_halves() {
        let name: ModuleName = "enrich@1.2.0".parse().expect("a good name");
        assert_eq!((name.name(), name.version()), ("enrich", "1.2.0"));
        for bad in ["enrich", "enrich@", "@1", "a@b@c", "../x@1"] {
            assert!(bad.parse::<ModuleName>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn the_id_of_a_run_reads_back_what_it_writes() {
        let run = RunId(0x2a);
        assert_eq!((run.to_string().as_str(), "000000000000002a".parse()), ("000000000000002a", Ok(run)));
        for bad in ["2a", "", "+00000000000002a", "000000000000002g"] {
            assert!(bad.parse::<AttemptId>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_module_hash_reads_back_what_it_writes() {
        let hash = ModuleHash(std::array::from_fn(|place| place as u8 * 7));
        assert_eq!(hash.to_string().parse::<ModuleHash>(), Ok(hash));
        assert!("xyz".parse::<ModuleHash>().is_err());
    }
}
