//! State in the words of people: a module's own if it has some, else bytes as text or JSON where they are that.

use std::sync::Arc;

use gristmill_ports::inspection::{Inspected, ShownEntry, StoredEntry};
use gristmill_ports::{Inspector, Veil};
use gristmill_types::CallFailure;
use gristmill_types::descriptor::StateSpec;
use serde_json::Value;

use super::ControlError;
use super::secrets::Secrets;

/// Bytes of a state, and what the module makes of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownBytes {
    /// As they are stored.
    pub bytes: Vec<u8>,
    /// In the module's words.
    pub shown: Option<Value>,
    /// Why the module has none for them.
    pub trouble: Option<String>,
}

/// An entry of a state that is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownStateEntry {
    /// Of a map: its name.
    pub name: Option<ShownBytes>,
    /// Its value.
    pub value: ShownBytes,
}

/// Bytes as people write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// A plain text, as in a query: what the module makes of it, as JSON or as a JSON string; else its UTF-8.
    Text(String),
    /// JSON: what the module makes of it; else, of a string its text, of anything else the JSON itself.
    Json(String),
    /// The bytes themselves.
    Bytes(Vec<u8>),
}

/// Turns the entries of one state into what people see, and back.
pub(super) struct Codec {
    inspector: Option<Box<dyn Inspector>>,
    /// What has become of the inspector.
    trouble: Option<String>,
    spec: StateSpec,
    secrets: Arc<Secrets>,
}

impl Codec {
    /// An inspector that was opened with these secrets.
    pub(super) fn new(
        inspector: Result<Option<Box<dyn Inspector>>, CallFailure>,
        spec: StateSpec,
        secrets: Arc<Secrets>,
    ) -> Self {
        match inspector {
            Ok(inspector) => Self { inspector, trouble: None, spec, secrets },
            Err(failure) => Self { inspector: None, trouble: Some(secrets.hide(&failure.to_string())), spec, secrets },
        }
    }

    /// An entry in the words of people. An inspector that is at fault once is not asked again: it may need its whole
    /// deadline each time.
    pub(super) fn show(&mut self, name: Option<Vec<u8>>, value: Vec<u8>) -> ShownStateEntry {
        let stored = StoredEntry { name, value: Some(value) };
        let of = Inspected { state: &self.spec.name, version: self.spec.version };
        let shown = match self.inspector.as_mut().map(|inspector| inspector.render(of, &stored)) {
            None => Err(self.trouble.clone()),
            Some(Ok(shown)) => Ok(shown),
            Some(Err(CallFailure::BadRecord(why))) => Err(Some(self.secrets.hide(&why))),
            Some(Err(failure)) => {
                (self.inspector, self.trouble) = (None, Some(self.secrets.hide(&failure.to_string())));
                Err(self.trouble.clone())
            }
        };
        let (shown, trouble) = match shown {
            Ok(shown) => (shown, None),
            Err(trouble) => (ShownEntry::default(), trouble),
        };
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        let with = |bytes, shown| ShownBytes { bytes, shown, trouble: trouble.clone() };
        ShownStateEntry {
            name: stored.name.map(|name| ShownBytes { trouble: None, ..with(name, json(shown.name)) }),
            value: with(stored.value.unwrap_or_default(), json(shown.value)),
        }
    }

    /// The bytes of a name.
    pub(super) fn name(&mut self, written: &Written) -> Result<Vec<u8>, ControlError> {
        self.bytes(written, |json| ShownEntry { name: Some(json), value: None }, |stored| stored.name)
    }

    /// The bytes of a value.
    pub(super) fn value(&mut self, written: &Written) -> Result<Vec<u8>, ControlError> {
        self.bytes(written, |json| ShownEntry { name: None, value: Some(json) }, |stored| stored.value)
    }

    fn bytes(
        &mut self,
        written: &Written,
        entry: impl Fn(String) -> ShownEntry,
        part: impl Fn(StoredEntry) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, ControlError> {
        let Some(inspector) = self.inspector.as_mut() else { return self.plain(written) };
        let of = Inspected { state: &self.spec.name, version: self.spec.version };
        let mut parse = |json: String| inspector.parse(of, &entry(json));
        let parsed = match written {
            Written::Bytes(bytes) => return Ok(bytes.clone()),
            Written::Json(json) => parse(json.clone()),
            Written::Text(text) => {
                let as_json = serde_json::from_str::<Value>(text).is_ok().then(|| parse(text.clone()));
                match as_json {
                    Some(Ok(parsed)) => Ok(parsed),
                    None | Some(Err(CallFailure::BadRecord(_))) => parse(Value::String(text.clone()).to_string()),
                    Some(Err(failure)) => Err(failure),
                }
            }
        };
        let refused = |failure: CallFailure| ControlError::StateRefused(self.secrets.hide(&failure.to_string()));
        let parsed = parsed.map_err(refused)?;
        part(parsed).ok_or_else(|| ControlError::Bug("what was parsed lacks what was given".to_owned()))
    }

    /// What is written without a module that understands it.
    fn plain(&self, written: &Written) -> Result<Vec<u8>, ControlError> {
        match (written, &self.trouble) {
            (Written::Bytes(bytes), _) => Ok(bytes.clone()),
            // It would store what the module may not understand.
            (_, Some(trouble)) => Err(ControlError::StateRefused(format!(
                "the module's `inspection` cannot be used ({trouble}): give the bytes in base64"
            ))),
            (Written::Text(text), None) => Ok(text.as_bytes().to_vec()),
            (Written::Json(json), None) => {
                let text = serde_json::from_str::<String>(json);
                Ok(text.map_or_else(|_| json.as_bytes().to_vec(), String::into_bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill_types::descriptor::{ClockKind, StateKind, StateScope};

    use super::*;

    fn spec() -> StateSpec {
        StateSpec {
            name: "n".to_owned(),
            kind: StateKind::OrderedMap,
            scope: StateScope::Keyed,
            version: 1,
            ttl_ms: None,
            ttl_clock: ClockKind::EventTime,
        }
    }

    /// Numbers of one byte, under names that are texts; 0 is a trap.
    struct Small;

    impl Inspector for Small {
        fn render(&mut self, _: Inspected<'_>, entry: &StoredEntry) -> Result<ShownEntry, CallFailure> {
            match entry.value.as_deref() {
                Some([0]) => Err(CallFailure::Fatal("it is over".to_owned())),
                Some([number]) => {
                    let name = entry.name.as_ref().map(|name| format!("{:?}", String::from_utf8_lossy(name)));
                    Ok(ShownEntry { name, value: Some(number.to_string()) })
                }
                _ => Err(CallFailure::BadRecord("no number".to_owned())),
            }
        }

        fn parse(&mut self, _: Inspected<'_>, entry: &ShownEntry) -> Result<StoredEntry, CallFailure> {
            let name = entry.name.as_deref().map(serde_json::from_str::<String>).transpose();
            let value = entry.value.as_deref().map(str::parse::<u8>).transpose();
            match (name, value) {
                (Ok(name), Ok(value)) => {
                    Ok(StoredEntry { name: name.map(String::into_bytes), value: value.map(|number| vec![number]) })
                }
                _ => Err(CallFailure::BadRecord("no entry".to_owned())),
            }
        }
    }

    #[test]
    fn a_module_says_what_its_bytes_mean() {
        let mut codec = Codec::new(Ok(Some(Box::new(Small))), spec(), Arc::default());
        let entry = codec.show(Some(b"a".to_vec()), vec![7]);
        assert_eq!(entry.value.shown, Some(serde_json::json!(7)));
        assert_eq!(entry.name.expect("a name").shown, Some(serde_json::json!("a")));
        let strange = codec.show(None, vec![1, 2]);
        assert_eq!((strange.value.shown, strange.value.trouble.as_deref()), (None, Some("no number")));
        assert_eq!(codec.value(&Written::Json("7".to_owned())), Ok(vec![7]));
        // A name is a text here, also one that looks like a number.
        assert_eq!(codec.name(&Written::Text("7".to_owned())), Ok(b"7".to_vec()));
        assert_eq!(codec.name(&Written::Text("\"x\"".to_owned())), Ok(b"x".to_vec()));
        assert!(matches!(codec.value(&Written::Json("\"x\"".to_owned())), Err(ControlError::StateRefused(_))));
        // At fault once, it is not asked again.
        assert!(codec.show(None, vec![0]).value.trouble.is_some_and(|why| why.contains("it is over")));
        assert!(codec.show(None, vec![7]).value.shown.is_none());
        assert!(
            codec.value(&Written::Json("7".to_owned())).is_ok_and(|bytes| bytes == b"7") || codec.trouble.is_some()
        );
    }

    #[test]
    fn without_a_module_that_understands_them_bytes_are_text() {
        let mut codec = Codec::new(Ok(None), spec(), Arc::default());
        for (written, bytes) in [
            (Written::Json("\"caf\\u00e9\"".to_owned()), "café".as_bytes()),
            (Written::Json("{\"a\": 1}".to_owned()), b"{\"a\": 1}"),
            (Written::Text("7".to_owned()), b"7"),
            (Written::Bytes(vec![0xff]), &[0xff]),
        ] {
            assert_eq!(codec.value(&written), Ok(bytes.to_vec()));
        }
        let mut broken = Codec::new(Err(CallFailure::Fatal("no".to_owned())), spec(), Arc::default());
        assert!(matches!(broken.value(&Written::Json("7".to_owned())), Err(ControlError::StateRefused(_))));
        assert_eq!(broken.value(&Written::Bytes(vec![7])), Ok(vec![7]));
    }
}
