//! Encodes a batch, and leaves out what cannot be encoded: one bad event is told, and costs no other.

use gristmill_ports::sink::RefusedRow;
use gristmill_types::EventBatch;

use super::tally::Tally;
use crate::format::encode::Encoder;

/// Appends and counts all rows that can be encoded. Returns the others.
pub(super) fn encode_what_can_be(
    encoder: &Encoder,
    events: &EventBatch,
    out: &mut Vec<u8>,
    tally: &mut Tally,
) -> Vec<RefusedRow> {
    // Nearly always all of them; so it is tried with all of them first.
    if encoder.encode(events, out).is_ok() {
        tally.count(events);
        return Vec::new();
    }
    let mut refused = Vec::new();
    for row in 0..events.len() {
        let event = events.slice(row..row + 1);
        match encoder.encode(&event, out) {
            Ok(()) => tally.count(&event),
            Err(reason) => refused.push(RefusedRow { row: row as u32, reason }),
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use gristmill_ports::sink::SinkSummary;

    use super::*;

    #[test]
    fn what_cannot_be_encoded_is_told_by_row_and_the_rest_is_written_and_counted() {
        let spec = serde_json::from_str(r#"{"csv": {"columns": {"a": "$.a"}}}"#).expect("a good spec");
        let encoder = Encoder::new(&spec).expect("a good path");
        let mut events = EventBatch::default();
        for value in [r#"{"a":1}"#, "torn", "{}", "{", r#"{"a":5}"#] {
            events.push(0, None, Some(value.as_bytes()));
        }
        let (mut out, mut tally) = (Vec::new(), Tally::new(false));
        let refused = encode_what_can_be(&encoder, &events, &mut out, &mut tally);
        assert_eq!(String::from_utf8(out).as_deref(), Ok("1\n\"\"\n5\n"));
        assert_eq!(tally.summary(), SinkSummary { events: 3, bytes: 16, checksum: 0 });
        assert_eq!(refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), [1, 3]);
        assert!(refused[0].reason.contains("begins with `torn`"), "{refused:?}");
    }
}
