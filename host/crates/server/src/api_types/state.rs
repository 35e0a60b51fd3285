//! State of operators on the wire.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gristmill_types::descriptor::{StateKind, StateSpec};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Payload, json, time};
use crate::control::{KeyState, OperatorStates, ScannedEntry, ScannedPage, ShownBytes, StateCount, StateOf};

/// The states of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateList {
    /// The module that declares them.
    pub module: String,
    /// Keys that have any state, in all subtasks; an estimate once some are on disk.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// The states.
    pub states: Vec<StateView>,
}

/// One state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateView {
    /// Its name.
    pub name: String,
    /// `value`, `append-list`, `ordered-map` or `accumulator`.
    pub kind: String,
    /// The version of its schema.
    pub version: u32,
    /// Milliseconds after which an entry that was not written again is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

impl From<&StateSpec> for StateView {
    fn from(spec: &StateSpec) -> Self {
        Self { name: spec.name.clone(), kind: kind(spec.kind), version: spec.version, ttl_ms: spec.ttl_ms }
    }
}

fn kind(kind: StateKind) -> String {
    json(&kind).as_str().unwrap_or_default().to_owned()
}

impl From<OperatorStates> for StateList {
    fn from(OperatorStates { module, states, keys, bytes }: OperatorStates) -> Self {
        Self { module: module.to_string(), keys, bytes, states: states.iter().map(StateView::from).collect() }
    }
}

/// Bytes of a state: in the module's words or, if they are JSON, as that; else as text if they are UTF-8, else in base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoredView {
    /// How many bytes are stored.
    pub bytes: u64,
    /// What they mean.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub json: Option<serde_json::Value>,
    /// Their text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// They themselves; standard alphabet, padded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Why the module, which has words for its state, has none for these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl From<ShownBytes> for StoredView {
    fn from(ShownBytes { bytes, shown, trouble }: ShownBytes) -> Self {
        let mut view = Self { bytes: bytes.len() as u64, json: shown, text: None, base64: None, trouble };
        if view.json.is_some() {
            return view;
        }
        match String::from_utf8(bytes) {
            Err(error) => view.base64 = Some(STANDARD.encode(error.as_bytes())),
            // A string in quotes is shown as what is stored, quotes and all.
            Ok(text) => match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(value) if !value.is_string() => view.json = Some(value),
                Ok(_) | Err(_) => view.text = Some(text),
            },
        }
        view
    }
}

/// What a key has in a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyStateView {
    /// The job.
    pub job: String,
    /// The operator.
    pub operator: String,
    /// The state.
    pub state: StateView,
    /// The key.
    pub key: Payload,
    /// Its entries: at most one of a value.
    pub entries: Vec<KeyEntryView>,
    /// `after` of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One entry of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyEntryView {
    /// Of a map: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<StoredView>,
    /// Its value.
    pub value: StoredView,
}

impl KeyStateView {
    pub(crate) fn new(of: &StateOf, found: KeyState) -> Self {
        let entries = found.entries.into_iter();
        Self {
            job: of.job.to_string(),
            operator: of.operator.to_string(),
            state: StateView::from(&found.spec),
            key: found.key.into(),
            entries: entries
                .map(|entry| KeyEntryView { name: entry.name.map(StoredView::from), value: entry.value.into() })
                .collect(),
            next: found.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
        }
    }
}

/// A page of a state, as a checkpoint has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatePageView {
    /// The job.
    pub job: String,
    /// The operator.
    pub operator: String,
    /// The state, as it stands in the checkpoint.
    pub state: StateView,
    /// The checkpoint that was read; as `checkpoint` of the next page it keeps the view consistent.
    pub checkpoint: u64,
    /// When it was taken.
    pub taken_at: String,
    /// Entries, by key group, key and place.
    pub entries: Vec<StateEntryView>,
    /// `after` of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An entry of a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StateEntryView {
    /// Whose it is.
    pub key: Payload,
    /// Of a list: which item, counted since its last clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u64>,
    /// Of a map: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<StoredView>,
    /// Its value.
    pub value: StoredView,
}

impl From<ScannedEntry> for StateEntryView {
    fn from(ScannedEntry { key, item, entry }: ScannedEntry) -> Self {
        Self { key: key.into(), item, name: entry.name.map(StoredView::from), value: entry.value.into() }
    }
}

impl StatePageView {
    pub(crate) fn new(of: &StateOf, page: ScannedPage) -> Self {
        Self {
            job: of.job.to_string(),
            operator: of.operator.to_string(),
            state: StateView::from(&page.spec),
            checkpoint: page.checkpoint.0,
            taken_at: time(page.taken_ms),
            entries: page.entries.into_iter().map(StateEntryView::from).collect(),
            next: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
        }
    }
}

/// How much there is of a state, as a checkpoint has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateCountView {
    /// The checkpoint that was read.
    pub checkpoint: u64,
    /// When it was taken.
    pub taken_at: String,
    /// Keys that have something in it.
    pub keys: u64,
    /// Values, items and entries of maps.
    pub entries: u64,
    /// Bytes of them, keys and names included.
    pub bytes: u64,
}

impl From<StateCount> for StateCountView {
    fn from(StateCount { checkpoint, taken_ms, keys, entries, bytes }: StateCount) -> Self {
        Self { checkpoint: checkpoint.0, taken_at: time(taken_ms), keys, entries, bytes }
    }
}

/// What is to be in a state: one of the four. As JSON it is what the module makes of it; of a module without words for its
/// state, a string stands for its text, and anything else for the JSON that it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditRequest {
    /// The value, or that of the map's entry.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<Box<RawValue>>,
    /// The same, as bytes in base64.
    #[serde(default)]
    pub value_base64: Option<String>,
    /// All items of a list, in order.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub values: Option<Vec<Box<RawValue>>>,
    /// The same, as bytes in base64.
    #[serde(default)]
    pub values_base64: Option<Vec<String>>,
}

/// What is there is something, also if it is null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        let shown = |bytes: &[u8]| {
            let view = StoredView::from(ShownBytes { bytes: bytes.to_vec(), shown: None, trouble: None });
            serde_json::to_string(&view).expect("JSON")
        };
        assert_eq!(shown(b"{\"a\": 1}"), r#"{"bytes":8,"json":{"a":1}}"#);
        assert_eq!(shown(b"42"), r#"{"bytes":2,"json":42}"#);
        assert_eq!(shown(b"EWR"), r#"{"bytes":3,"text":"EWR"}"#);
        assert_eq!(shown(b"\"EWR\""), r#"{"bytes":5,"text":"\"EWR\""}"#);
        assert_eq!(shown(b"\xff"), r#"{"bytes":1,"base64":"/w=="}"#);
        let module = ShownBytes { bytes: vec![7], shown: Some(serde_json::json!(null)), trouble: None };
        assert_eq!(serde_json::to_string(&StoredView::from(module)).expect("JSON"), r#"{"bytes":1,"json":null}"#);
    }

    #[test]
    fn a_null_is_a_value_too() {
        let read: EditRequest = serde_json::from_str(r#"{"value": null}"#).expect("good");
        assert_eq!(read.value.expect("it is there").get(), "null");
        assert!(serde_json::from_str::<EditRequest>(r#"{"valeu": 1}"#).is_err());
    }
}
