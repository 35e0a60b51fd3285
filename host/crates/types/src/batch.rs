//! Events travel in batches of columns: timestamps, keys, values.

use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::key_group::key_hash;

/// The columns of a batch disagree about the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the batch has {timestamps} timestamps, {keys} keys and {values} values")]
pub struct UnevenBatch {
    /// Rows in the column of timestamps.
    pub timestamps: usize,
    /// Rows in the column of keys.
    pub keys: usize,
    /// Rows in the column of values.
    pub values: usize,
}

/// Some events, in the order of their arrival. All columns have the same number of rows.
///
/// A batch that came through a key-by also carries the hash of each key, computed once and used for routing and for
/// finding state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBatch {
    timestamps: Vec<i64>,
    keys: Column,
    values: Column,
    #[serde(skip)]
    key_hashes: Vec<u64>,
}

impl EventBatch {
    /// Puts columns together.
    ///
    /// # Errors
    /// If they do not have the same number of rows.
    pub fn new(timestamps: Vec<i64>, keys: Column, values: Column) -> Result<Self, UnevenBatch> {
        if timestamps.len() != keys.len() || keys.len() != values.len() {
            return Err(UnevenBatch { timestamps: timestamps.len(), keys: keys.len(), values: values.len() });
        }
        Ok(Self { timestamps, keys, values, key_hashes: Vec::new() })
    }

    /// An empty batch with room for `rows` events whose values have `value_bytes` in all.
    #[must_use]
    pub fn with_capacity(rows: usize, value_bytes: usize) -> Self {
        Self {
            timestamps: Vec::with_capacity(rows),
            keys: Column::with_capacity(rows, 0),
            values: Column::with_capacity(rows, value_bytes),
            key_hashes: Vec::new(),
        }
    }

    /// How many events.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Event times, in milliseconds since the epoch.
    #[must_use]
    pub fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    /// Keys; null where an event has none.
    #[must_use]
    pub fn keys(&self) -> &Column {
        &self.keys
    }

    /// Values; null for a tombstone.
    #[must_use]
    pub fn values(&self) -> &Column {
        &self.values
    }

    /// The hash of each key; empty for a batch that came through no key-by.
    #[must_use]
    pub fn key_hashes(&self) -> &[u64] {
        &self.key_hashes
    }

    /// Bytes that the batch takes in memory: what it costs an exchange's credit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        8 * (self.timestamps.len() + self.key_hashes.len()) + self.keys.bytes() + self.values.bytes()
    }

    /// The batch with other keys, hashed.
    ///
    /// # Errors
    /// If there is not one key for each event.
    pub fn with_keys(self, keys: Column) -> Result<Self, UnevenBatch> {
        Ok(Self::new(self.timestamps, keys, self.values)?.hashed())
    }

    /// The batch with the hash of each key filled in.
    #[must_use]
    pub fn hashed(mut self) -> Self {
        if self.key_hashes.len() != self.len() {
            self.key_hashes = (0..self.len()).map(|row| key_hash(self.keys.bytes_of(row))).collect();
        }
        self
    }

    /// Appends one event.
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.key_hashes.clear();
        self.timestamps.push(timestamp);
        self.keys.push(key);
        self.values.push(value);
    }

    /// Appends every event of another batch.
    pub fn append(&mut self, other: &Self) {
        let both_hashed = self.key_hashes.len() == self.len() && other.key_hashes.len() == other.len();
        if both_hashed {
            self.key_hashes.extend_from_slice(&other.key_hashes);
        } else {
            self.key_hashes.clear();
        }
        self.timestamps.extend_from_slice(&other.timestamps);
        self.keys.append(&other.keys);
        self.values.append(&other.values);
    }

    /// Events `range` as a batch of their own.
    ///
    /// # Panics
    /// If the range reaches past the last event.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            timestamps: self.timestamps[range.clone()].to_vec(),
            keys: self.keys.slice(range.clone()),
            values: self.values.slice(range.clone()),
            key_hashes: self.key_hashes.get(range).unwrap_or_default().to_vec(),
        }
    }

    /// The given events, in the given order.
    ///
    /// # Panics
    /// If a row does not exist.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Self {
        self.gather_with_values(rows, self.values.gather(rows))
    }

    /// The timestamps and keys of the given events with values of their own.
    ///
    /// # Panics
    /// If a row does not exist, or if there is not one value for each row.
    #[must_use]
    pub fn gather_with_values(&self, rows: &[u32], values: Column) -> Self {
        assert_eq!(rows.len(), values.len(), "one value for each row");
        let pick = |row: &u32| *row as usize;
        let hashed = !self.key_hashes.is_empty();
        Self {
            timestamps: rows.iter().map(|row| self.timestamps[pick(row)]).collect(),
            keys: self.keys.gather(rows),
            values,
            key_hashes: if hashed { rows.iter().map(|row| self.key_hashes[pick(row)]).collect() } else { Vec::new() },
        }
    }

    /// The columns.
    #[must_use]
    pub fn into_parts(self) -> (Vec<i64>, Column, Column) {
        (self.timestamps, self.keys, self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> EventBatch {
        let mut batch = EventBatch::default();
        batch.push(1, Some(b"a"), Some(b"one"));
        batch.push(2, None, Some(b""));
        batch.push(3, Some(b""), None);
        batch
    }

    #[test]
    fn null_is_not_empty() {
        let batch = three();
        assert_eq!((batch.keys().get(1), batch.keys().get(2)), (None, Some(&b""[..])));
        assert_eq!((batch.values().get(1), batch.values().get(2)), (Some(&b""[..]), None));
    }

    #[test]
    fn hashes_follow_their_events() {
        let batch = three().hashed();
        let picked = batch.gather(&[2, 0]);
        assert_eq!(picked.key_hashes(), [batch.key_hashes()[2], batch.key_hashes()[0]]);
        assert_eq!(batch.slice(1..3).key_hashes(), &batch.key_hashes()[1..3]);
        let mut both = picked;
        both.append(&batch);
        assert_eq!(both.key_hashes().len(), 5);
        both.append(&three());
        assert!(both.key_hashes().is_empty(), "a part without hashes leaves the whole without");
    }

    #[test]
    fn uneven_columns_are_refused() {
        let uneven = EventBatch::new(vec![1], Column::all_null(1), Column::all_null(2));
        assert_eq!(uneven, Err(UnevenBatch { timestamps: 1, keys: 1, values: 2 }));
    }
}
