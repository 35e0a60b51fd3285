//! Finds the keys of events: a [`KeySelector`] for every `key_by`, and the bytes that a JSON value gives as a key.
//!
//! One path to a string gives its unescaped bytes, one path to anything else its JSON text, several paths a JSON array
//! of what stands there. Knows nothing of key groups.

use gristmill_dataflow::document::KeyBy;
use gristmill_ports::PortError;
use gristmill_ports::format::{KeySelector, SelectedKeys};
use gristmill_types::{Column, EventBatch};

use super::json::{Places, unescape};

/// Makes the selector that a `key_by` asks for.
///
/// # Errors
/// `Fatal` for a path that is none, or that may match many places.
pub(crate) fn key_selector(key_by: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
    Ok(match key_by {
        KeyBy::OwnKey => Box::new(OwnKey),
        KeyBy::Paths(paths) => Box::new(PathKey::new(paths)?),
    })
}

/// Appends the bytes of a single key: `None` if the value is null.
///
/// # Errors
/// If the value is a string that cannot be written as UTF-8.
pub(crate) fn write_key(raw: &str, key: &mut Vec<u8>) -> Result<Option<()>, String> {
    if raw == "null" {
        return Ok(None);
    }
    let text = if raw.starts_with('"') { unescape(raw)? } else { raw.into() };
    key.extend_from_slice(text.as_bytes());
    Ok(Some(()))
}

/// Events keep the keys that they have.
struct OwnKey;

impl KeySelector for OwnKey {
    fn select(&mut self, events: &EventBatch) -> SelectedKeys {
        let reason = || "the event has no key; let the operator before it give one, or use a json path".to_owned();
        let keys = events.keys().clone();
        let without_key = keys.nulls().iter().map(|&row| (row, reason())).collect();
        SelectedKeys { keys, without_key }
    }
}

/// Keys from places in the value.
struct PathKey {
    places: Places,
    paths: Vec<String>,
}

impl PathKey {
    fn new(paths: &[String]) -> Result<Self, PortError> {
        Ok(Self { places: Places::at(paths)?, paths: paths.to_vec() })
    }

    /// Appends the key of one value to `key`; on an error there may be some bytes of it. `parts` has room for what
    /// stands at each path.
    fn key_of<'v>(
        &self,
        value: Option<&'v [u8]>,
        parts: &mut [Option<&'v str>],
        key: &mut Vec<u8>,
    ) -> Result<(), String> {
        let value = value.ok_or("the event has no value to find a key in")?;
        parts.fill(None);
        self.places.find(value, |number, raw| parts[number] = Some(raw))?;
        for (part, path) in parts.iter().zip(&self.paths) {
            match part {
                Some("null") => return Err(format!("the key at `{path}` is null")),
                Some(_) => {}
                None => return Err(format!("the key at `{path}` is missing")),
            }
        }
        match parts {
            [Some(only)] => write_key(only, key).map(|written| written.expect("nulls were looked for above")),
            parts => write_array(parts.iter().flatten(), key),
        }
    }
}

/// Strings are written anew: `"A"` and `"\u0041"` are one key.
fn write_array<'v>(parts: impl Iterator<Item = &'v &'v str>, key: &mut Vec<u8>) -> Result<(), String> {
    for (place, part) in parts.enumerate() {
        key.push(if place == 0 { b'[' } else { b',' });
        if part.starts_with('"') && part.contains('\\') {
            let text = unescape(part)?;
            serde_json::to_writer(&mut *key, &*text).expect("a string is written to memory");
        } else {
            key.extend_from_slice(part.as_bytes());
        }
    }
    key.push(b']');
    Ok(())
}

impl KeySelector for PathKey {
    fn select(&mut self, events: &EventBatch) -> SelectedKeys {
        let mut keys = Column::with_capacity(events.len(), 16 * events.len());
        let mut without_key = Vec::new();
        let (mut key, mut parts) = (Vec::new(), vec![None; self.paths.len()]);
        for (row, value) in events.values().iter().enumerate() {
            key.clear();
            match self.key_of(value, &mut parts, &mut key) {
                Ok(()) => keys.push(Some(&key)),
                Err(reason) => {
                    keys.push(None);
                    without_key.push((row as u32, reason));
                }
            }
        }
        SelectedKeys { keys, without_key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(paths: &[&str], values: &[Option<&str>]) -> SelectedKeys {
        let key_by = KeyBy::Paths(paths.iter().map(|path| (*path).to_owned()).collect());
        let mut events = EventBatch::default();
        values.iter().for_each(|value| events.push(0, None, value.map(str::as_bytes)));
        key_selector(&key_by).expect("good paths").select(&events)
    }

    fn key(path: &str, value: &str) -> Option<String> {
        let selected = select(&[path], &[Some(value)]);
        selected.keys.get(0).map(|key| String::from_utf8(key.to_vec()).expect("utf-8"))
    }

    #[test]
    fn a_string_gives_its_bytes_and_anything_else_its_json_text() {
        let table = [
            (r#"{"k":"a b"}"#, "a b"),
            (r#"{"k":"a\"\u00e9\n"}"#, "a\"é\n"),
            (r#"{"k":""}"#, ""),
            (r#"{"k":"null"}"#, "null"),
            (r#"{"k":1.50}"#, "1.50"),
            (r#"{"k":false}"#, "false"),
            (r#"{"k":[1, 2]}"#, "[1, 2]"),
            (r#"{"k":{"a":1}}"#, r#"{"a":1}"#),
        ];
        for (value, wanted) in table {
            assert_eq!(key("$.k", value).as_deref(), Some(wanted), "{value}");
        }
    }

    #[test]
    fn several_paths_give_a_json_array() {
        let selected = select(&["$.a", "$.b"], &[Some(r#"{"b":2,"a":"x\u0041"}"#), Some(r#"{"a":"xA","b":2}"#)]);
        assert_eq!(selected.keys.get(0), Some(&br#"["xA",2]"#[..]));
        assert_eq!(selected.keys.get(1), selected.keys.get(0), "one key, however it is escaped");
    }

    #[test]
    fn an_event_without_a_key_says_why() {
        let values =
            [Some(r#"{"k":1}"#), Some(r#"{"k":null}"#), Some("{}"), Some("{\"k\":1"), None, Some(r#"{"k":"\ud800"}"#)];
        let selected = select(&["$.k"], &values);
        assert_eq!(selected.keys.nulls(), [1, 2, 3, 4, 5]);
        let reasons: Vec<&str> = selected.without_key.iter().map(|(_, reason)| reason.as_str()).collect();
        for (reason, words) in reasons.iter().zip(["is null", "`$.k` is missing", "not json", "no value", "not json"]) {
            assert!(reason.contains(words), "{reason}");
        }
    }

    #[test]
    fn own_keys_are_kept_and_missed() {
        let mut events = EventBatch::default();
        events.push(0, Some(b"a"), None);
        events.push(0, None, None);
        let selected = key_selector(&KeyBy::OwnKey).expect("always there").select(&events);
        assert_eq!((&selected.keys, selected.without_key.len()), (events.keys(), 1));
    }
}
