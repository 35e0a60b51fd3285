//! How a record lies on disk: one byte of version, then the record.
//!
//! A law of the storage format: a version once used keeps its meaning. Records are bincode; those that hold free JSON
//! are JSON themselves, since bincode cannot read what it cannot foresee.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The record follows as bincode 2, standard configuration.
pub(crate) const BINCODE: u8 = 1;
/// The record follows as JSON.
const JSON: u8 = 2;
/// An epoch follows, then a record: a dead letter as the segments have it, which alone write and read it.
pub(crate) const WITH_EPOCH: u8 = 3;

/// A record as bytes.
pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = vec![BINCODE];
    bincode::serde::encode_into_std_write(record, &mut bytes, bincode::config::standard())
        .expect("plain data goes into a vector");
    bytes
}

/// A record as bytes, for one that holds free JSON.
pub(crate) fn encode_json<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = vec![JSON];
    serde_json::to_writer(&mut bytes, record).expect("plain data goes into a vector");
    bytes
}

/// The record that the bytes hold, whichever way it was written.
///
/// # Errors
/// What is wrong with the bytes, as the end of a sentence.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&BINCODE, rest)) => match bincode::serde::decode_from_slice(rest, bincode::config::standard()) {
            Ok((record, used)) if used == rest.len() => Ok(record),
            Ok((_, used)) => Err(format!("{} bytes too many", rest.len() - used)),
            Err(error) => Err(error.to_string()),
        },
        Some((&JSON, rest)) => serde_json::from_slice(rest).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("written in format {version}, by a later version of gristmill")),
        None => Err("it is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use gristmill_types::ModuleHash;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        hash: Option<ModuleHash>,
        number: u64,
        moment: i64,
        bytes: Vec<u8>,
    }

    fn sample() -> Sample {
        Sample { name: "a".to_owned(), hash: None, number: 300, moment: -1, bytes: vec![7, 8] }
    }

    #[test]
    fn golden_bytes() {
        let bincode = [1, 1, b'a', 0, 251, 44, 1, 1, 2, 7, 8];
        assert_eq!(encode(&sample()), bincode);
        assert_eq!(decode(&bincode), Ok(sample()));
        let json = b"\x02{\"name\":\"a\",\"hash\":null,\"number\":300,\"moment\":-1,\"bytes\":[7,8]}";
        assert_eq!(encode_json(&sample()), json);
        assert_eq!(decode(json), Ok(sample()));
    }

    #[test]
    fn strange_bytes_are_a_sentence() {
        for (bytes, expected) in [
            (&b""[..], "it is empty"),
            (b"\x09", "written in format 9, by a later version of gristmill"),
            (b"\x01\x01a\x00\x00\x00\x00more", "4 bytes too many"),
        ] {
            assert_eq!(decode::<Sample>(bytes), Err(expected.to_owned()));
        }
        assert!(decode::<Sample>(b"\x01\x01").is_err() && decode::<Sample>(b"\x02{").is_err());
    }
}
