//! Counts what a sink took.

use gristmill_ports::sink::SinkSummary;
use gristmill_types::EventBatch;
use xxhash_rust::xxh3::xxh3_64;

/// A summary that grows. A null counts as an event, and adds nothing to the checksum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    summary: SinkSummary,
    checksum: bool,
}

impl Tally {
    pub(crate) fn new(checksum: bool) -> Self {
        Self { summary: SinkSummary::default(), checksum }
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

    pub(crate) fn summary(&self) -> SinkSummary {
        self.summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
