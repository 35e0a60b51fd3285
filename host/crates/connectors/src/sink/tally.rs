//! Counts what a sink took.

use gristmill_ports::PortError;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_types::EventBatch;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::versioned;

/// A summary that grows. A null counts as an event, and adds nothing to the checksum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    summary: SinkSummary,
    checksum: bool,
}

/// The position of a sink that has nothing to remember but its summary.
#[derive(Serialize, Deserialize)]
struct Taken {
    taken: SinkSummary,
}

impl Tally {
    pub(crate) fn new(checksum: bool) -> Self {
        Self::going_on(SinkSummary::default(), checksum)
    }

    /// A tally that has counted before.
    pub(crate) fn going_on(summary: SinkSummary, checksum: bool) -> Self {
        Self { summary, checksum }
    }

    /// A tally from a sink's position, if there is one: see [`Self::position`].
    ///
    /// # Errors
    /// `Fatal` if it cannot be read.
    pub(crate) fn resume(position: Option<&[u8]>, checksum: bool, sink: &str) -> Result<Self, PortError> {
        match position {
            None => Ok(Self::new(checksum)),
            Some(position) => {
                let Taken { taken } = versioned::decode(position, sink)?;
                Ok(Self::going_on(taken, checksum))
            }
        }
    }

    /// The position of a sink that remembers nothing else.
    pub(crate) fn position(&self) -> Vec<u8> {
        versioned::encode(&Taken { taken: self.summary })
    }

    /// Counts a batch.
    pub(crate) fn count(&mut self, events: &EventBatch) {
        let values = events.values();
        self.summary.events += values.len() as u64;
        self.summary.bytes += values.data().len() as u64;
        if self.checksum {
            let sum = if values.nulls().is_empty() {
                let (mut start, data) = (0, values.data());
                values.ends().iter().fold(0_u64, |sum, &end| {
                    let value = &data[std::mem::replace(&mut start, end as usize)..end as usize];
                    sum.wrapping_add(xxh3_64(value))
                })
            } else {
                values.iter().flatten().fold(0_u64, |sum, value| sum.wrapping_add(xxh3_64(value)))
            };
            self.summary.checksum = self.summary.checksum.wrapping_add(sum);
        }
    }

    /// Counts a batch but for what was refused of it.
    pub(crate) fn count_all_but(&mut self, refused: &[RefusedRow], events: &EventBatch) {
        if refused.is_empty() {
            return self.count(events);
        }
        let mut from = 0;
        for row in refused.iter().map(|refused| refused.row as usize) {
            self.count(&events.slice(from..row));
            from = row + 1;
        }
        self.count(&events.slice(from..events.len()));
    }

    pub(crate) fn summary(&self) -> SinkSummary {
        self.summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_goes_on_from_its_position() {
        let mut events = EventBatch::default();
        events.push(1, None, Some(b"abc"));
        let mut tally = Tally::new(true);
        tally.count(&events);
        let position = tally.position();
        let golden = r#"{"version":1,"taken":{"events":1,"bytes":3,"checksum":8696274497037089104}}"#;
        assert_eq!(String::from_utf8_lossy(&position), golden);
        tally.count(&events);
        let mut resumed = Tally::resume(Some(&position), true, "it").expect("it was just written");
        resumed.count(&events);
        assert_eq!(resumed.summary(), tally.summary());
    }

    #[test]
    fn the_checksum_does_not_depend_on_the_order_or_on_the_batches() {
        let mut forth = EventBatch::default();
        let mut back = EventBatch::default();
        let values: [Option<&[u8]>; 4] = [Some(b"a"), None, Some(b""), Some(b"longer")];
        values.iter().for_each(|value| forth.push(1, None, *value));
        values.iter().rev().for_each(|value| back.push(2, Some(b"k"), *value));
        let mut whole = Tally::new(true);
        whole.count(&forth);
        let mut parts = Tally::new(true);
        parts.count(&back.slice(0..1));
        parts.count(&back.slice(1..4));
        assert_eq!(whole.summary(), parts.summary());
        let checksum = [&b"a"[..], b"", b"longer"].iter().fold(0_u64, |sum, value| sum.wrapping_add(xxh3_64(value)));
        assert_eq!(whole.summary(), SinkSummary { events: 4, bytes: 7, checksum });
    }
}
