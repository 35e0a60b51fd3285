//! How typed state becomes bytes. **A law: these bytes lie in checkpoints and savepoints.**
//!
//! Values are written by [postcard](https://postcard.jamesmunns.com/wire-format) 1: integers as variable-length numbers
//! (signed ones zigzag), strings and lists with their length before them, structs as their fields in order and nothing
//! else. It is small, fast and specified; it is not self-describing, so any change of a stored type (a field added,
//! removed or moved, a number made wider) needs a higher `#[state(version = …)]` and a migration.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, fatal};

/// Appends the bytes of a value.
///
/// # Errors
/// [`Failure::Fatal`] if the type cannot be stored, such as a list of unknown length. `state` is named in the reason.
pub(crate) fn encode<T: Serialize>(value: &T, state: &str, out: &mut Vec<u8>) -> Result<(), Failure> {
    postcard::serialize_with_flavor(value, Append(out)).map_err(|error| {
        fatal(format_args!("a `{}` cannot be stored in state `{state}`: {error}", std::any::type_name::<T>()))
    })
}

/// Reads a value back.
///
/// # Errors
/// [`Failure::Fatal`] if the bytes are not those of a `T`, or go on after it.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], state: &str) -> Result<T, Failure> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(foreign::<T>(state)),
    }
}

/// The failure for stored bytes that are not a `T`.
pub(crate) fn foreign<T>(state: &str) -> Failure {
    fatal(format_args!(
        "state `{state}` holds bytes that are not a `{}`: if the type has changed, raise the version of the state",
        std::any::type_name::<T>()
    ))
}

/// Appends to a vector by slices.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
