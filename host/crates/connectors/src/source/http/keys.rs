//! Which idempotency keys were used lately, and for which events.
//!
//! Remembered are the newest hundred thousand of one source, fewer if its log is small, each for a day. Pure: time is
//! passed in.

use std::collections::{HashMap, VecDeque};

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// So many keys are remembered at most,
const MOST_KEYS: u64 = 100_000;

/// as many as take this part of the log, since each segment holds them,
const PART_OF_LOG: u64 = 16;

/// and so many in the smallest log.
const FEWEST_KEYS: u64 = 128;

/// Bytes of a key in the log.
const KEY_BYTES: u64 = 40;

/// So long a key is remembered, in milliseconds.
const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// The XXH3 of a key, or of events. A law of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyHash(pub(super) u128);

impl KeyHash {
    pub(super) fn of_key(key: &str) -> Self {
        Self(xxh3_128(key.as_bytes()))
    }

    /// Each event with its length before it, so that no two lists of events run together.
    pub(super) fn of_events(events: &[Vec<u8>]) -> Self {
        let mut hasher = Xxh3::new();
        for event in events {
            hasher.update(&(event.len() as u64).to_le_bytes());
            hasher.update(event);
        }
        Self(hasher.digest128())
    }
}

/// A key, and the events that were sent under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsedKey {
    pub(super) key: KeyHash,
    pub(super) events: KeyHash,
}

/// A key that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) key: KeyHash,
    /// For these events,
    pub(super) events: KeyHash,
    /// at this time.
    pub(super) at_ms: i64,
}

/// The keys of one source.
#[derive(Debug)]
pub(super) struct Keys {
    most: usize,
    /// Oldest first.
    in_order: VecDeque<Remembered>,
    events: HashMap<KeyHash, KeyHash>,
}

impl Keys {
    /// None yet, of a log of so many bytes.
    pub(super) fn of_log(bytes: u64) -> Self {
        let most = (bytes / PART_OF_LOG / KEY_BYTES).clamp(FEWEST_KEYS, MOST_KEYS) as usize;
        Self { most, in_order: VecDeque::new(), events: HashMap::new() }
    }

    /// The events under a key.
    pub(super) fn find(&mut self, key: KeyHash, now_ms: i64) -> Option<KeyHash> {
        self.forget_old(now_ms);
        self.events.get(&key).copied()
    }

    /// Whether a key is remembered for these events.
    pub(super) fn has(&self, used: UsedKey) -> bool {
        self.events.get(&used.key) == Some(&used.events)
    }

    pub(super) fn remember(&mut self, remembered: Remembered) {
        if self.events.insert(remembered.key, remembered.events).is_none() {
            self.in_order.push_back(remembered);
        }
        self.forget_old(remembered.at_ms);
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Remembered> {
        self.in_order.iter()
    }

    fn forget_old(&mut self, now_ms: i64) {
        let is_old = |oldest: &Remembered| oldest.at_ms.saturating_add(WINDOW_MS) <= now_ms;
        while self.in_order.len() > self.most || self.in_order.front().is_some_and(is_old) {
            if let Some(oldest) = self.in_order.pop_front() {
                self.events.remove(&oldest.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(key: u128, at_ms: i64) -> Remembered {
        Remembered { key: KeyHash(key), events: KeyHash(!key), at_ms }
    }

    #[test]
    fn a_key_is_remembered_for_a_day() {
        let mut keys = Keys::of_log(1 << 30);
        keys.remember(remembered(1, 1000));
        keys.remember(remembered(2, 2000));
        assert_eq!(keys.find(KeyHash(1), WINDOW_MS + 999), Some(KeyHash(!1)));
        assert_eq!(keys.find(KeyHash(1), WINDOW_MS + 1000), None);
        assert_eq!(keys.iter().copied().collect::<Vec<_>>(), [remembered(2, 2000)]);
    }

    #[test]
    fn the_newest_keys_are_remembered() {
        for (log, most) in [(1 << 40, MOST_KEYS), (1 << 20, 1638), (1000, FEWEST_KEYS)] {
            let mut keys = Keys::of_log(log);
            (0..=u128::from(most)).for_each(|key| keys.remember(remembered(key, 0)));
            assert_eq!((keys.find(KeyHash(0), 0), keys.find(KeyHash(1), 0)), (None, Some(KeyHash(!1))));
            assert_eq!(keys.iter().len() as u64, most);
        }
    }

    #[test]
    fn golden_hashes() {
        let [ab_c, a_bc] = [["ab", "c"], ["a", "bc"]].map(|events| events.map(|event| event.as_bytes().to_vec()));
        assert_ne!(KeyHash::of_events(&ab_c), KeyHash::of_events(&a_bc));
        assert_eq!(KeyHash::of_key("abc"), KeyHash(0x06b0_5ab6_733a_6185_78af_5f94_892f_3950));
    }
}
