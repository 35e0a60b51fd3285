//! What sinks say in a checkpoint: JSON that begins with a version, so that people can read it too.
//!
//! A law of the storage format: what a published version wrote is read for ever.

use gristmill_ports::PortError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    words: T,
}

/// The version alone: all that can be trusted in words of a newer host.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The words as they are stored.
pub(super) fn encode<T: Serialize>(words: &T) -> Vec<u8> {
    serde_json::to_vec(&Versioned { version: VERSION, words }).expect("plain data is encodable")
}

/// Reads words; `what` they are about stands in the message if they cannot be read.
///
/// # Errors
/// `Fatal` if they are damaged, or written by a newer host.
pub(super) fn decode<T: DeserializeOwned>(stored: &[u8], what: &str) -> Result<T, PortError> {
    let damaged = |error: serde_json::Error| {
        PortError::fatal(format!("what the checkpoint says of {what} cannot be read: {error}"))
    };
    let Version { version } = serde_json::from_slice(stored).map_err(damaged)?;
    if version > VERSION {
        return Err(PortError::fatal(format!(
            "what the checkpoint says of {what} has format version {version}; this host reads up to version {VERSION}; \
             start a host that knows it"
        )));
    }
    serde_json::from_slice(stored).map(|Versioned { words, .. }| words).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Words {
        large: u64,
    }

    #[test]
    fn words_begin_with_their_version_and_read_back() {
        let stored = encode(&Words { large: u64::MAX });
        assert_eq!(String::from_utf8_lossy(&stored), r#"{"version":1,"large":18446744073709551615}"#);
        assert_eq!(decode(&stored, "it"), Ok(Words { large: u64::MAX }));
    }

    #[test]
    fn words_of_a_newer_host_are_told_from_damaged_ones() {
        for (stored, words) in
            [(&br#"{"version":2,"other":1}"#[..], "start a host that knows it"), (b"{", "cannot be read")]
        {
            let error = decode::<Words>(stored, "`out`").expect_err("unreadable");
            assert!(error.message.contains(words) && error.message.contains("`out`"), "{error}");
        }
    }
}
