//! State as people read and write it: what the types of a state make of stored bytes, as JSON, and back.
//!
//! Knows no operator: the host calls it in an instance that sees no event.

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::bindings::inspection::{Shown, Stored};
use crate::codec;
use crate::map_key::MapKey;

/// What `#[operator]` makes of an operator with state. Not for authors.
pub trait Inspect {
    /// An entry as JSON.
    ///
    /// # Errors
    /// If there is no such state, or these bytes are none of it.
    fn render(state: &str, version: u32, entry: Stored) -> Result<Shown, String>;

    /// The bytes of an entry that is given as JSON.
    ///
    /// # Errors
    /// If there is no such state, or this is no entry of it.
    fn parse(state: &str, version: u32, entry: Shown) -> Result<Stored, String>;
}

/// The refusal of a state, or a version of one, that the module does not have.
#[must_use]
pub fn unknown(state: &str, version: u32) -> String {
    format!("the module has no state `{state}` of version {version}")
}

/// The refusal of an entry of something that is no state.
pub(crate) fn no_state<T>() -> Result<T, String> {
    Err("it is no state".to_owned())
}

/// An entry that has no name, as JSON.
pub(crate) fn shown<T: Serialize + DeserializeOwned>(entry: &Stored) -> Result<Shown, String> {
    match entry.name {
        Some(_) => Err("only entries of a map have a name".to_owned()),
        None => Ok(Shown { name: None, value: entry.value.as_deref().map(to_json::<T>).transpose()? }),
    }
}

/// The bytes of an entry that has no name.
pub(crate) fn stored<T: Serialize + DeserializeOwned>(entry: &Shown) -> Result<Stored, String> {
    match entry.name {
        Some(_) => Err("only entries of a map have a name".to_owned()),
        None => Ok(Stored { name: None, value: entry.value.as_deref().map(from_json::<T>).transpose()? }),
    }
}

/// An entry of a map as JSON.
pub(crate) fn shown_entry<K: MapKey, V: Serialize + DeserializeOwned>(entry: &Stored) -> Result<Shown, String> {
    let name = |bytes: &Vec<u8>| {
        let name = K::decode(bytes).ok_or_else(|| foreign::<K>("name"))?;
        serde_json::to_string(&name).map_err(|error| error.to_string())
    };
    Ok(Shown {
        name: entry.name.as_ref().map(name).transpose()?,
        value: entry.value.as_deref().map(to_json::<V>).transpose()?,
    })
}

/// The bytes of an entry of a map.
pub(crate) fn stored_entry<K: MapKey, V: Serialize + DeserializeOwned>(entry: &Shown) -> Result<Stored, String> {
    let name = |json: &String| {
        let mut bytes = Vec::new();
        read::<K>(json)?.encode(&mut bytes);
        Ok::<_, String>(bytes)
    };
    Ok(Stored {
        name: entry.name.as_ref().map(name).transpose()?,
        value: entry.value.as_deref().map(from_json::<V>).transpose()?,
    })
}

fn to_json<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<String, String> {
    let value: T = codec::decode(bytes, "").map_err(|_| foreign::<T>("value"))?;
    serde_json::to_string(&value).map_err(|error| error.to_string())
}

fn from_json<T: Serialize + DeserializeOwned>(json: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    codec::encode(&read::<T>(json)?, "", &mut bytes).map_err(|failure| failure.to_string())?;
    Ok(bytes)
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("`{json}` is not a `{}`: {error}", std::any::type_name::<T>()))
}

fn foreign<T>(what: &str) -> String {
    format!("the bytes of the {what} are not a `{}`", std::any::type_name::<T>())
}
