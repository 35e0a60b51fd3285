//! Operators of a job document.

use gristmill_types::{ModuleHash, ModuleName, Parallelism};
use indexmap::IndexMap;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::one_or_many::{self, OneOrMany};
use crate::quantity::{Bytes, Span};

/// An operator under its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorSpec {
    /// `name@version` or hash of an uploaded module, or the path of a Wasm file relative to the document.
    pub module: ModuleSource,
    /// What feeds each input of the module, by the input's name.
    pub inputs: IndexMap<String, InputSpec>,
    /// Handed to the module's `open`, checked against its schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<serde_json::Value>,
    /// Default: the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<Parallelism>,
    /// What a call may use.
    #[serde(default)]
    pub limits: Limits,
    /// What is done about failures.
    #[serde(default)]
    pub on_failure: FailurePolicy,
}

/// Where a module comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ModuleSource {
    /// Uploaded under a name.
    Named(ModuleName),
    /// Uploaded, known by the hash of its bytes.
    Hash(ModuleHash),
    /// A file, begins with `.` or `/`.
    File(String),
}

impl TryFrom<String> for ModuleSource {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('.') || text.starts_with('/') {
            return Ok(Self::File(text));
        }
        if let Ok(hash) = text.parse() {
            return Ok(Self::Hash(hash));
        }
        text.parse().map(Self::Named).map_err(|_| {
            format!("`{text}` is not a module: write name@version for an uploaded one, or ./path.wasm for a file")
        })
    }
}

impl From<ModuleSource> for String {
    fn from(source: ModuleSource) -> Self {
        match source {
            ModuleSource::Named(name) => name.to_string(),
            ModuleSource::Hash(hash) => hash.to_string(),
            ModuleSource::File(path) => path,
        }
    }
}

/// What feeds an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// A source, an operator with one output port, or `operator.port`; or several of these.
    #[serde(with = "references")]
    pub from: Vec<String>,
    /// Where the key stands; makes the input keyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_by: Option<KeyBy>,
    /// How events spread over subtasks that are not chosen by key. Default: `forward` between equal parallelism,
    /// else `rebalance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitioningSpec>,
}

/// How events spread over subtasks, as an author may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitioningSpec {
    /// Subtask i to subtask i.
    Forward,
    /// Batches in turn to all subtasks.
    Rebalance,
    /// Every event to every subtask.
    Broadcast,
}

/// Where a key stands: `key` for the event's own, or JSON paths into its value.
///
/// One path to a string gives its bytes; one path to anything else its JSON text; several paths a JSON array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyBy {
    /// The key that the event already has.
    OwnKey,
    /// Paths into the value; never empty.
    Paths(Vec<String>),
}

impl<'de> Deserialize<'de> for KeyBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match one_or_many::read(deserializer, "`key` or a JSON path such as $.id")? {
            OneOrMany::One(word) if word == "key" => Ok(Self::OwnKey),
            OneOrMany::One(path) => Ok(Self::Paths(vec![path])),
            OneOrMany::Many(paths) if paths.is_empty() => {
                Err(D::Error::custom("the list of paths is empty: write at least one, or leave out `key_by`"))
            }
            OneOrMany::Many(paths) => Ok(Self::Paths(paths)),
        }
    }
}

impl Serialize for KeyBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::OwnKey => serializer.serialize_str("key"),
            Self::Paths(paths) => one_or_many::write(paths, serializer),
        }
    }
}

/// What one instance of an operator may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory of an instance. Default: 256 MiB. A batch takes at most an eighth of it.
    pub memory: Bytes,
    /// How long one call may take. Default: 5 s.
    pub call: Span,
    /// Bytes that one call may return or hand to imports. Default: 64 MiB.
    pub output: Bytes,
    /// Bytes of log lines in one second; more is counted and dropped. Default: 64 KiB.
    pub log: Bytes,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: Bytes::mib(256), call: Span::millis(5000), output: Bytes::mib(64), log: Bytes::kib(64) }
    }
}

/// What is done about failures of calls (contract, rule 17).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailurePolicy {
    /// An event that the operator calls bad. Default: dead-letter.
    pub bad_record: EventVerdict,
    /// An event on which the guest traps or breaks the contract, even alone. Default: dead-letter.
    pub fault: EventVerdict,
    /// A batch for which the world is not ready. Default: `{retry: 10}`, then the job fails.
    pub transient: TransientPolicy,
    /// Faulty events in a row that mean that the operator is broken, not the data. Default: 20.
    pub broken_after: u32,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            bad_record: EventVerdict::DeadLetter,
            fault: EventVerdict::DeadLetter,
            transient: TransientPolicy::default(),
            broken_after: 20,
        }
    }
}

/// What becomes of a single bad event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventVerdict {
    /// It is set aside with the reason.
    DeadLetter,
    /// It is counted and forgotten.
    Skip,
    /// The job fails.
    FailJob,
}

/// How long the same batch is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransientPolicy {
    /// Tries after the first. Default: 10, with backoff from 50 ms doubling to 10 s, with jitter.
    pub retry: u32,
    /// What follows when all have failed: `fail-job` (default) or `dead-letter`.
    pub then: EventVerdict,
}

impl Default for TransientPolicy {
    fn default() -> Self {
        Self { retry: 10, then: EventVerdict::FailJob }
    }
}

/// `from: a` or `from: [a, b]`.
mod references {
    use serde::{Deserializer, Serializer};

    use super::{OneOrMany, one_or_many};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(match one_or_many::read(deserializer, "a source, an operator or `operator.port`")? {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        })
    }

    #[expect(clippy::ptr_arg, reason = "serde's `with` hands the field's own type")]
    pub(super) fn serialize<S: Serializer>(from: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
        one_or_many::write(from, serializer)
    }
}
