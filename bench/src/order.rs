//! Counts, behind a keyed count, what was lost and what came twice. Knows nothing of the engine: only that the rows of a key are
//! 1, 2, 3 and so on, and how many events there were.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;

/// What the sinks of a job saw.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// Rows that are missing between two of their key.
    missing: u64,
    /// Rows that came again, or behind a later one of their key.
    repeated: u64,
    /// Events that all rows together tell of: the highest number of each key.
    counted: u64,
}

impl Order {
    /// Events lost, of those that sources have read: without a row, or not even counted.
    pub(crate) fn lost(self, read: u64) -> u64 {
        self.missing + read.saturating_sub(self.counted)
    }

    /// Events that came twice: as a row, or counted twice.
    pub(crate) fn duplicated(self, read: u64) -> u64 {
        self.repeated + self.counted.saturating_sub(read)
    }
}

/// A sink that looks at the numbers of each key on their way.
pub(crate) struct InOrder {
    sink: Box<dyn Sink>,
    counts: HashMap<Box<[u8]>, u64>,
    seen: Arc<Mutex<Order>>,
}

impl InOrder {
    pub(crate) fn new(sink: Box<dyn Sink>, seen: &Arc<Mutex<Order>>) -> Self {
        Self { sink, counts: HashMap::new(), seen: Arc::clone(seen) }
    }

    fn look(&mut self, events: &EventBatch) {
        let mut seen = Order::default();
        for (key, value) in events.keys().iter().zip(events.values().iter()) {
            let number = value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_le_bytes);
            let key = key.unwrap_or_default();
            let highest = match self.counts.get_mut(key) {
                Some(highest) => highest,
                None => self.counts.entry(key.into()).or_default(),
            };
            match number.checked_sub(*highest + 1) {
                Some(missing) => {
                    seen.missing += missing;
                    seen.counted += missing + 1;
                    *highest = number;
                }
                None => seen.repeated += 1,
            }
        }
        let mut all = self.seen.lock().expect("nobody panics with it");
        all.missing += seen.missing;
        all.repeated += seen.repeated;
        all.counted += seen.counted;
    }
}

impl Sink for InOrder {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        self.look(events);
        self.sink.write(events)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.sink.flush()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Sink for Nowhere {
        fn write(&mut self, _: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
            Ok(Vec::new())
        }

        fn flush(&mut self) -> Result<(), PortError> {
            Ok(())
        }

        fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
            Ok(None)
        }
    }

    #[test]
    fn what_is_planted_is_found() {
        // Of a there were two events, of b three.
        for (rows, lost, duplicated) in [
            ("a1 b1 a2 b2 b3", 0, 0),
            ("a1 b1 a2 b3", 1, 0),
            ("b1 b2 b3 a2", 1, 0),
            ("a1 b1 b2 b3", 1, 0),
            ("", 5, 0),
            ("a1 a1 b1 a2 b2 b3", 0, 1),
            ("a1 a2 a1 b1 b2 b3", 0, 1),
            ("a1 a2 a3 b1 b2 b3", 0, 1),
            ("a1 a2 b1 b2 b1 b2 b3", 0, 2),
        ] {
            let seen = Arc::default();
            let mut eye = InOrder::new(Box::new(Nowhere), &seen);
            for row in rows.split_whitespace() {
                let (key, number) = row.split_at(1);
                let number: u64 = number.parse().expect("a number");
                let mut events = EventBatch::default();
                events.push(0, Some(key.as_bytes()), Some(&number.to_le_bytes()));
                assert!(eye.write(&events).is_ok(), "nowhere takes all");
            }
            let seen = *seen.lock().expect("nobody panics with it");
            assert_eq!((seen.lost(5), seen.duplicated(5)), (lost, duplicated), "{rows}");
        }
    }
}
