//! All that one key has in a state, as one thing: what a migration takes, and what it makes. Value, list and map each
//! say for themselves what that is, and how it lies in the entries of a page.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::gristmill::operator::types::{Column, StateKind};
use crate::bindings::migration::Entries;
use crate::codec;
use crate::failure::{Failure, fatal};
use crate::map_key::MapKey;
use crate::state::{List, Map, Value};

/// A state as a type: `Value<u64>`, `List<String>`, `Map<String, u64>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a state",
    note = "a state is, or was, a `Value`, a `List` or a `Map`: `#[migrate(from = 1, was = Value<u64>, with = …)]`"
)]
pub trait Kept {
    /// Its kind.
    #[doc(hidden)]
    const KIND: StateKind;

    /// All that one key has in it: of a `Value<T>` a `T`; of a `List<T>` a `Vec<T>`, oldest first; of a `Map<K, V>` a
    /// `Vec<(K, V)>`, in order.
    type Content;

    /// Reads what one key has. `None` if that is nothing.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the bytes are of other types.
    #[doc(hidden)]
    fn read(key: Run<'_>) -> Result<Option<Self::Content>, Failure>;

    /// Appends the entries of one key.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the types cannot be stored.
    #[doc(hidden)]
    fn write(content: &Self::Content, to: &mut Written<'_>) -> Result<(), Failure>;
}

/// The entries of one key in a page.
#[derive(Debug)]
pub struct Run<'a> {
    pub(crate) page: &'a Entries,
    pub(crate) rows: Range<usize>,
}

impl<'a> Run<'a> {
    /// The values, without nulls, each with its row.
    fn values(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let values = &self.page.values;
        self.rows.clone().filter_map(move |row| values.get(row).map(|value| (row, value)))
    }
}

/// Where the entries of one key go.
#[derive(Debug)]
pub struct Written<'a> {
    pub(crate) page: &'a mut Entries,
    pub(crate) owner: u32,
    pub(crate) state: &'a str,
}

impl Written<'_> {
    fn push<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        codec::encode(value, self.state, &mut self.page.values.data)?;
        self.page.values.end_row();
        self.page.owners.push(self.owner);
        Ok(())
    }
}

impl<T: Serialize + DeserializeOwned> Kept for Value<T> {
    const KIND: StateKind = StateKind::Value;
    type Content = T;

    fn read(key: Run<'_>) -> Result<Option<T>, Failure> {
        key.values().next().map(|(_, value)| decode(value)).transpose()
    }

    fn write(content: &T, to: &mut Written<'_>) -> Result<(), Failure> {
        to.push(content)
    }
}

impl<T: Serialize + DeserializeOwned> Kept for List<T> {
    const KIND: StateKind = StateKind::AppendList;
    type Content = Vec<T>;

    fn read(key: Run<'_>) -> Result<Option<Vec<T>>, Failure> {
        some(key.values().map(|(_, item)| decode(item)).collect::<Result<_, _>>()?)
    }

    fn write(content: &Vec<T>, to: &mut Written<'_>) -> Result<(), Failure> {
        content.iter().try_for_each(|item| to.push(item))
    }
}

impl<K: MapKey, V: Serialize + DeserializeOwned> Kept for Map<K, V> {
    const KIND: StateKind = StateKind::OrderedMap;
    type Content = Vec<(K, V)>;

    fn read(key: Run<'_>) -> Result<Option<Vec<(K, V)>>, Failure> {
        let map_keys = &key.page.map_keys;
        let entry = |(row, value): (usize, &[u8])| {
            let map_key = K::decode(map_keys.bytes(row)).ok_or_else(foreign::<K>)?;
            Ok((map_key, decode(value)?))
        };
        some(key.values().map(entry).collect::<Result<_, _>>()?)
    }

    /// In the order of the bytes, as the contract wants them; of equal map keys the last counts.
    fn write(content: &Vec<(K, V)>, to: &mut Written<'_>) -> Result<(), Failure> {
        let in_order: BTreeMap<Vec<u8>, &V> =
            content.iter().map(|(map_key, value)| (bytes_of(map_key), value)).collect();
        in_order.iter().try_for_each(|(map_key, value)| {
            to.page.map_keys.push(Some(map_key));
            to.push(value)
        })
    }
}

fn bytes_of(map_key: &impl MapKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    map_key.encode(&mut bytes);
    bytes
}

fn some<T>(content: Vec<T>) -> Result<Option<Vec<T>>, Failure> {
    Ok((!content.is_empty()).then_some(content))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    codec::decode(bytes, "").map_err(|_| foreign::<T>())
}

/// The failure for entries that the type of a migration does not fit.
fn foreign<T>() -> Failure {
    fatal(format_args!("its bytes are not a `{}`, as the migration says", std::any::type_name::<T>()))
}

/// A page without entries.
pub(crate) fn empty_page(keys: Column) -> Entries {
    Entries { keys, owners: Vec::new(), map_keys: Column::empty(), values: Column::empty() }
}
