//! What the sink says of a staged file to its committer: a law of the storage format.

use gristmill_checkpoint::Committable;
use gristmill_ports::PortError;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::sink::versioned;

/// A staged file, and what is to become of it. All names are in the sink's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Staging {
    /// It takes the place of the target, or goes behind what stands there.
    Append(Append),
    /// It becomes one of many files.
    Part(Part),
}

/// The next piece of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Append {
    pub(super) staged: String,
    pub(super) target: String,
    /// Where the piece belongs in the target.
    pub(super) offset: u64,
    pub(super) length: u64,
    /// The piece is the first of a run, and replaces what stands there.
    pub(super) first: bool,
    /// How the target ends before the piece. `None`: it is the first, or a host staged it that did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) behind: Option<Ending>,
}

/// The last bytes that one piece wrote into a file: by these the next one knows it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) bytes: u64,
    xxh3: u64,
}

impl Ending {
    /// Bytes that are looked at, at most.
    pub(super) const MOST: usize = 4096;

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, xxh3: xxh3_64(bytes) }
    }
}

/// One of many files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) staged: String,
    pub(super) target: String,
    pub(super) length: u64,
}

impl Staging {
    pub(super) fn encode(&self) -> Vec<u8> {
        versioned::encode(self)
    }

    /// # Errors
    /// `Fatal` if it is damaged, or written by a newer host.
    pub(super) fn of(committable: &Committable) -> Result<Self, PortError> {
        versioned::decode(&committable.payload, &format!("output {} of `{}`", committable.id, committable.sink))
    }

    /// The name of the staged file.
    pub(super) fn staged(&self) -> &str {
        match self {
            Self::Append(append) => &append.staged,
            Self::Part(part) => &part.staged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let append = Append {
            staged: ".out.jsonl.00000000000000ab-0-1.staged".to_owned(),
            target: "out.jsonl".to_owned(),
            offset: 4096,
            length: 12,
            first: false,
            behind: None,
        };
        let behind = Append { behind: Some(Ending::of(b"abc")), ..append.clone() };
        let part = Part { staged: ".a.staged".to_owned(), target: "a".to_owned(), length: 7 };
        for (staging, golden) in [
            (
                Staging::Append(append),
                concat!(
                    r#"{"version":1,"kind":"append","staged":".out.jsonl.00000000000000ab-0-1.staged","#,
                    r#""target":"out.jsonl","offset":4096,"length":12,"first":false}"#
                ),
            ),
            (
                Staging::Append(behind),
                concat!(
                    r#"{"version":1,"kind":"append","staged":".out.jsonl.00000000000000ab-0-1.staged","#,
                    r#""target":"out.jsonl","offset":4096,"length":12,"first":false,"#,
                    r#""behind":{"bytes":3,"xxh3":8696274497037089104}}"#
                ),
            ),
            (Staging::Part(part), r#"{"version":1,"kind":"part","staged":".a.staged","target":"a","length":7}"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&staging.encode()), golden);
            assert_eq!(versioned::decode::<Staging>(golden.as_bytes(), "it"), Ok(staging));
        }
    }
}
