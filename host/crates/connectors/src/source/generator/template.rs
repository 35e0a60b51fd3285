//! The bytes that neighbouring events share, and the few places that differ.
//!
//! A template is drawn up for a stretch of events in which only the last four digits of counters change; an event is
//! then one copy and a few stores. Knows nothing of batches or of pace.

use gristmill_dataflow::document::GeneratedValues;

use super::digits;
use super::draw::Draw;

/// Bytes of the shortest text: sequence number, key, letter, and the spaces after each.
pub(super) const SHORTEST_TEXT: usize = 36;

/// Digits of a counter that are written for each event.
const LOW: u64 = 10_000;

/// The value of one event, and what must be written anew for the following ones.
pub(super) struct Template {
    row: Vec<u8>,
    /// The first sequence number for which the row is out of date.
    until: u64,
    places: Places,
}

/// Where the parts that differ stand.
enum Places {
    Text,
    Json(JsonPlaces),
}

struct JsonPlaces {
    /// Where the last four digits stand; `None` for shorter numbers, whose rows are drawn up one by one.
    seq_low: Option<usize>,
    ts_low: Option<usize>,
    key: usize,
    kind: usize,
    amount: usize,
}

impl Template {
    /// The template for the events from `seq` on, whose event times are `start_time` later.
    pub(super) fn new(shape: GeneratedValues, bytes: usize, seq: u64, start_time: i64) -> Self {
        match shape {
            GeneratedValues::Text => Self::text(bytes, seq),
            GeneratedValues::Json => Self::json(bytes, seq, start_time),
        }
    }

    fn text(bytes: usize, seq: u64) -> Self {
        let mut row = format!("{seq:020} key-00000000 A ").into_bytes();
        fill(&mut row, bytes);
        Self { row, until: stretch(seq, seq), places: Places::Text }
    }

    fn json(bytes: usize, seq: u64, start_time: i64) -> Self {
        let ts = start_time.saturating_add_unsigned(seq);
        let mut row = format!("{{\"seq\":{seq}");
        let seq_low = (seq >= 1000).then(|| row.len() - 4);
        row.push_str(",\"key\":\"key-");
        let key = row.len();
        row.push_str(&format!("00000000\",\"ts\":{ts}"));
        let ts_low = (ts >= 1000).then(|| row.len() - 4);
        row.push_str(",\"kind\":\"");
        let kind = row.len();
        row.push_str("A\",\"amount\":");
        let amount = row.len();
        row.push_str("000.00,\"filler\":\"");
        let mut row = row.into_bytes();
        fill(&mut row, bytes.saturating_sub(2));
        row.extend_from_slice(b"\"}");
        let counters = [(seq_low, seq), (ts_low, ts.max(0) as u64)];
        let until = counters.map(|(low, counter)| if low.is_some() { stretch(seq, counter) } else { seq + 1 });
        let places = JsonPlaces { seq_low, ts_low, key, kind, amount };
        Self { row, until: until[0].min(until[1]), places: Places::Json(places) }
    }

    /// Bytes of a value.
    pub(super) fn width(&self) -> usize {
        self.row.len()
    }

    /// Whether the template serves this event; asked in ascending order.
    #[inline]
    pub(super) fn covers(&self, seq: u64) -> bool {
        seq < self.until
    }

    /// Appends the value of one event that the template covers.
    #[inline]
    pub(super) fn write(&self, seq: u64, timestamp: i64, draw: Draw, values: &mut Vec<u8>) {
        let start = values.len();
        values.extend_from_slice(&self.row);
        let row = &mut values[start..];
        match &self.places {
            Places::Text => {
                row[16..20].copy_from_slice(&digits::four((seq % LOW) as u32));
                row[25..33].copy_from_slice(&digits::eight(draw.key));
                row[34] = draw.kind;
            }
            Places::Json(places) => {
                if let Some(low) = places.seq_low {
                    row[low..low + 4].copy_from_slice(&digits::four((seq % LOW) as u32));
                }
                if let Some(low) = places.ts_low {
                    row[low..low + 4].copy_from_slice(&digits::four((timestamp as u64 % LOW) as u32));
                }
                row[places.key..places.key + 8].copy_from_slice(&digits::eight(draw.key));
                row[places.kind] = draw.kind;
                row[places.amount..places.amount + 6].copy_from_slice(&draw.amount());
            }
        }
    }
}

/// The sequence number at which more than the last four digits of a counter change, that is at `counter` now.
fn stretch(seq: u64, counter: u64) -> u64 {
    seq.saturating_add(LOW - counter % LOW)
}

fn fill(row: &mut Vec<u8>, bytes: usize) {
    let filler = (b'a'..=b'z').cycle().take(bytes.saturating_sub(row.len()));
    row.extend(filler);
}
