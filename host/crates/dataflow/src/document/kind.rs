//! Kinds of things, written as a map of one key: `{file: {path: a.jsonl}}`; or as the bare key, where all that could
//! be said of it has a default: `stdout`.
//!
//! serde's derived enums accept only the map, and some YAML deserializers take the node behind a bare key for its
//! content; hence this visitor.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// An enum read this way.
pub(super) trait Kind: Sized {
    /// What it is, for messages: `a sink`.
    const WHAT: &'static str;
    /// All kinds, in the order of their documentation.
    const NAMES: &'static [&'static str];

    /// The kind of this name with every default; `None` if it needs more.
    fn bare(name: &str) -> Option<Self>;

    /// The kind of this name with what is said of it. `None` if there is no such kind: then the value is unread.
    fn read<'de, M: MapAccess<'de>>(name: &str, map: &mut M) -> Result<Option<Self>, M::Error>;
}

/// Reads a kind from a bare name or a map of one key.
pub(super) fn deserialize<'de, K: Kind, D: Deserializer<'de>>(deserializer: D) -> Result<K, D::Error> {
    deserializer.deserialize_any(KindVisitor(PhantomData))
}

struct KindVisitor<K>(PhantomData<K>);

impl<'de, K: Kind> Visitor<'de> for KindVisitor<K> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, one of {}", K::WHAT, K::NAMES.join(", "))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<K, E> {
        match K::bare(name) {
            Some(kind) => Ok(kind),
            None if K::NAMES.contains(&name) => {
                Err(E::custom(format_args!("`{name}` needs more than its name: write it as {{{name}: {{…}}}}")))
            }
            None => Err(E::unknown_variant(name, K::NAMES)),
        }
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<K, M::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(M::Error::custom(format_args!(
                "nothing stands here: name {}, one of {}",
                K::WHAT,
                K::NAMES.join(", ")
            )));
        };
        let Some(kind) = K::read(&name, &mut map)? else {
            return Err(M::Error::unknown_variant(&name, K::NAMES));
        };
        match map.next_key::<String>()? {
            None => Ok(kind),
            Some(second) => Err(M::Error::custom(format_args!(
                "`{name}` and `{second}` stand side by side: {} is one of them",
                K::WHAT
            ))),
        }
    }
}

/// Implements [`Kind`] and `Deserialize` for an enum. `name => Variant(Type)` needs its map, `name => Variant(Type) bare`
/// has a default for everything, `name => Variant` has nothing to say.
macro_rules! kinds {
    (@bare $variant:ident($inner:ty)) => { None };
    (@bare $variant:ident($inner:ty) bare) => { Some(Self::$variant(<$inner>::default())) };
    (@bare $variant:ident) => { Some(Self::$variant) };
    (@read $map:ident $variant:ident($inner:ty) $($bare:ident)?) => { Self::$variant($map.next_value::<$inner>()?) };
    (@read $map:ident $variant:ident) => {{ $map.next_value::<()>()?; Self::$variant }};
    ($what:literal, $kind:ident { $($name:literal => $variant:ident $(($inner:ty) $($bare:ident)?)?,)* }) => {
        impl $crate::document::kind::Kind for $kind {
            const WHAT: &'static str = $what;
            const NAMES: &'static [&'static str] = &[$($name),*];

            fn bare(name: &str) -> Option<Self> {
                match name {
                    $($name => $crate::document::kind::kinds!(@bare $variant $(($inner) $($bare)?)?),)*
                    _ => None,
                }
            }

            fn read<'de, M: serde::de::MapAccess<'de>>(name: &str, map: &mut M) -> Result<Option<Self>, M::Error> {
                Ok(Some(match name {
                    $($name => $crate::document::kind::kinds!(@read map $variant $(($inner) $($bare)?)?),)*
                    _ => return Ok(None),
                }))
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::document::kind::deserialize(deserializer)
            }
        }
    };
}

pub(super) use kinds;
