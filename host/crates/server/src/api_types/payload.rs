//! Bytes in JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gristmill_runtime::TapEvent;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bytes of an event: `{"text": …}` if they are UTF-8, else `{"base64": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// The bytes are UTF-8.
    Text(String),
    /// They are not; standard alphabet, padded.
    Base64(String),
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Base64(STANDARD.encode(error.as_bytes())), Self::Text)
    }
}

/// One sampled event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TapView {
    /// The subtask that sent it.
    pub subtask: u32,
    /// Event time, milliseconds since the epoch.
    pub timestamp: i64,
    /// Its key, if any.
    pub key: Option<Payload>,
    /// Its value, if any.
    pub value: Option<Payload>,
}

impl From<TapEvent> for TapView {
    fn from(event: TapEvent) -> Self {
        Self {
            subtask: event.subtask.0,
            timestamp: event.timestamp,
            key: event.key.map(Payload::from),
            value: event.value.map(Payload::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_can_be() {
        let as_json = |bytes: &[u8]| serde_json::to_string(&Payload::from(bytes.to_vec())).expect("JSON");
        assert_eq!(as_json(b"caf\xc3\xa9"), r#"{"text":"café"}"#);
        assert_eq!(as_json(b"\xff\x00"), r#"{"base64":"/wA="}"#);
        assert_eq!(as_json(b""), r#"{"text":""}"#);
    }
}
