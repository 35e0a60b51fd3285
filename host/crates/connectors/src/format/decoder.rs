//! Makes events of the bytes that a source read: checks them and finds their time and key.
//!
//! CSV rows come here when they are JSON already. Knows nothing of where bytes come from.

use gristmill_dataflow::document::{Decode, EventTimeSpec, SourceSpec, TimeUnit};
use gristmill_ports::PortError;
use gristmill_ports::source::{SourceBatch, Undecodable};

use super::event_time::read_event_time;
use super::json::Places;
use super::key::write_key;

/// The end of an origin of which only the beginning of the event was kept. Such a letter cannot be replayed.
const CUT_MARK: &str = " (cut)";

/// Some bytes that came in, with what is known of them without looking inside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// The value of the event, as operators will see it.
    pub(crate) value: &'a [u8],
    /// The bytes that came in; the same but for CSV.
    pub(crate) raw: &'a [u8],
    /// The event's time unless it carries one itself, in milliseconds since the epoch.
    pub(crate) timestamp: i64,
    /// The event's key unless it carries one itself.
    pub(crate) key: Option<&'a [u8]>,
}

/// Decodes the events of one source.
pub(crate) enum Decoder {
    /// Bytes pass untouched.
    Raw,
    /// Values are checked to be JSON.
    Json(JsonDecoder),
}

/// Checks JSON, and finds the time and the key in the same pass.
pub(crate) struct JsonDecoder {
    places: Places,
    time: Option<TimeField>,
    key: Option<KeyField>,
}

/// Where the time stands, and what stands there in the current event.
struct TimeField {
    number: usize,
    path: String,
    unit: TimeUnit,
    read: Option<Result<i64, String>>,
}

/// Where the key stands, and what stands there in the current event.
struct KeyField {
    number: usize,
    /// `None` where the event has no key, or a null.
    read: Option<Result<(), String>>,
    bytes: Vec<u8>,
}

impl Decoder {
    /// The decoder that a source asks for.
    ///
    /// # Errors
    /// `Fatal` for a path that is none, and for paths into bytes that are not read.
    pub(crate) fn new(spec: &SourceSpec) -> Result<Self, PortError> {
        match &spec.decode {
            Decode::Raw if spec.event_time.is_some() || spec.key.is_some() => Err(PortError::fatal(
                "`event_time` and `key` are paths into json, but the source is raw; add `decode: json`",
            )),
            Decode::Raw => Ok(Self::Raw),
            Decode::Json | Decode::Csv(_) => JsonDecoder::new(spec).map(Self::Json),
        }
    }

    /// Appends one event to the batch, or the reason why there is none. `origin` says where it stood; it is called
    /// only if there is a reason to.
    pub(crate) fn decode(&mut self, arrival: Arrival<'_>, origin: impl FnOnce() -> String, batch: &mut SourceBatch) {
        match self {
            Self::Raw => batch.events.push(arrival.timestamp, arrival.key, Some(arrival.value)),
            Self::Json(json) => match json.read(arrival) {
                Ok(timestamp) => batch.events.push(timestamp, json.key_or(arrival.key), Some(arrival.value)),
                Err(reason) => {
                    batch.undecodable.push(Undecodable { origin: origin(), reason, raw: arrival.raw.to_vec() });
                }
            },
        }
    }
}

impl JsonDecoder {
    fn new(spec: &SourceSpec) -> Result<Self, PortError> {
        let mut paths = Vec::new();
        let mut number_of = |path| {
            paths.push(path);
            paths.len() - 1
        };
        let time = spec.event_time.as_ref().map(|EventTimeSpec { path, unit }| TimeField {
            number: number_of(path),
            path: path.clone(),
            unit: *unit,
            read: None,
        });
        let key = spec.key.as_ref().map(|path| KeyField { number: number_of(path), read: None, bytes: Vec::new() });
        Ok(Self { places: Places::at(paths)?, time, key })
    }

    /// Checks the value, keeps its key, and gives its time.
    fn read(&mut self, arrival: Arrival<'_>) -> Result<i64, String> {
        let (time, key) = (&mut self.time, &mut self.key);
        time.iter_mut().for_each(|time| time.read = None);
        key.iter_mut().for_each(|key| key.read = None);
        self.places.find(arrival.value, |number, raw| {
            if let Some(time) = time.as_mut().filter(|time| time.number == number) {
                time.read = (raw != "null").then(|| read_event_time(raw, time.unit));
            }
            if let Some(key) = key.as_mut().filter(|key| key.number == number) {
                key.bytes.clear();
                key.read = write_key(raw, &mut key.bytes).transpose();
            }
        })?;
        if let Some(Err(reason)) = self.key.as_ref().and_then(|key| key.read.as_ref()) {
            return Err(format!("the key: {reason}"));
        }
        match &self.time {
            None => Ok(arrival.timestamp),
            Some(TimeField { read: Some(Ok(ms)), .. }) => Ok(*ms),
            Some(TimeField { read: Some(Err(reason)), path, .. }) => {
                Err(format!("the event time at `{path}`: {reason}"))
            }
            Some(TimeField { read: None, path, .. }) => Err(format!("the event time at `{path}` is missing")),
        }
    }

    /// The key of the event read last; the given one if the source does not look for keys.
    fn key_or<'a>(&'a self, given: Option<&'a [u8]>) -> Option<&'a [u8]> {
        match &self.key {
            None => given,
            Some(KeyField { read, bytes, .. }) => read.is_some().then_some(bytes.as_slice()),
        }
    }
}

/// Whether the bytes of this origin are only the beginning of an event.
pub(crate) fn is_cut_off(origin: &str) -> bool {
    origin.ends_with(CUT_MARK)
}

/// What becomes of an event of which only the beginning is there.
pub(crate) fn cut_off(origin: &str, head: &[u8], reason: String) -> Undecodable {
    Undecodable { origin: format!("{origin}{CUT_MARK}"), reason, raw: head.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(document: &str) -> SourceSpec {
        serde_json::from_str(document).expect("a good source")
    }

    fn decode(document: &str, value: &str) -> SourceBatch {
        let mut decoder = Decoder::new(&spec(document)).expect("good paths");
        let mut batch = SourceBatch::default();
        let arrival = Arrival { value: value.as_bytes(), raw: value.as_bytes(), timestamp: 7, key: None };
        decoder.decode(arrival, || "here:1".to_owned(), &mut batch);
        batch
    }

    const JSON: &str = r#"{"from": {"http": {}}, "decode": "json", "event_time": {"path": "$.at.ms"}, "key": "$.k"}"#;
    const RAW: &str = r#"{"from": {"http": {}}}"#;

    #[test]
    fn time_and_key_come_from_their_places() {
        let batch = decode(JSON, r#"{"k": "x", "at": {"ms": 12}}"#);
        let mut events = gristmill_types::EventBatch::default();
        events.push(12, Some(b"x"), Some(br#"{"k": "x", "at": {"ms": 12}}"#));
        assert_eq!(batch, SourceBatch { events, undecodable: Vec::new() });
    }

    #[test]
    fn an_event_may_lack_its_key_but_not_its_time() {
        assert!(decode(JSON, r#"{"at": {"ms": 12}}"#).events.keys().is_null(0));
        assert!(decode(JSON, r#"{"k": null, "at": {"ms": 12}}"#).events.keys().is_null(0));
        for (value, words) in [
            (r#"{"k": 1}"#, "`$.at.ms` is missing"),
            (r#"{"at": {"ms": null}}"#, "`$.at.ms` is missing"),
            (r#"{"at": {"ms": "x"}}"#, "not a number of milliseconds"),
            (r#"{"at": {"ms": 1}, "k": "\ud800"}"#, "the key: not json"),
            (r#"{"at": {"ms": 1}"#, "not json"),
        ] {
            let batch = decode(JSON, value);
            assert!(batch.events.is_empty());
            let [only] = batch.undecodable.as_slice() else { panic!("one reason for {value}") };
            assert!(only.reason.contains(words), "{value}: {}", only.reason);
            assert_eq!((only.origin.as_str(), only.raw.as_slice()), ("here:1", value.as_bytes()));
        }
    }

    #[test]
    fn raw_bytes_pass_untouched_at_the_time_of_arrival() {
        let batch = decode(RAW, "not json");
        assert_eq!((batch.events.timestamps(), batch.events.values().get(0)), (&[7][..], Some(&b"not json"[..])));
    }

    #[test]
    fn paths_into_raw_bytes_are_refused() {
        let error = Decoder::new(&spec(r#"{"from": {"http": {}}, "key": "$.k"}"#)).err().expect("no json, no path");
        assert!(error.message.contains("decode: json"), "{error}");
    }
}
