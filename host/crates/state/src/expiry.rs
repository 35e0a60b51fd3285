//! Time to live: entries that were not written again for some time are gone.
//!
//! In a state with a time to live each stored value begins with the time of its last write: eight bytes, little endian,
//! by the clock of the state. What is read, and what is counted, is what stands behind them. In a state without, a
//! stored value is the value, and nothing here costs more than a comparison.

use gristmill_ports::state::StateTime;
use gristmill_types::descriptor::{ClockKind, StateSpec};

use crate::file::{BEFORE_TIME, Stored};
use crate::inline::{InlineBytes, overwrite};

/// Bytes of a time before a stored value.
const STAMP_BYTES: usize = 8;

/// The time to live of a state, and what time it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry {
    /// Bytes before each value: those of a time, or none.
    stamp: usize,
    ttl_ms: i64,
    clock: ClockKind,
    now: i64,
    /// The first time that was known; far away while there is none.
    began: i64,
}

impl Expiry {
    pub(crate) fn of(spec: &StateSpec) -> Self {
        let stamp = if spec.ttl_ms.is_some() { STAMP_BYTES } else { 0 };
        let ttl_ms = spec.ttl_ms.map_or(i64::MAX, |ttl| i64::try_from(ttl).unwrap_or(i64::MAX));
        Self { stamp, ttl_ms, clock: spec.ttl_clock, now: BEFORE_TIME, began: i64::MAX }
    }

    pub(crate) fn set_time(&mut self, time: StateTime) {
        let now = match self.clock {
            ClockKind::EventTime => time.event_ms,
            ClockKind::ProcessingTime => time.processing_ms,
        };
        let before = std::mem::replace(&mut self.now, now);
        if before == BEFORE_TIME && self.now != BEFORE_TIME {
            self.began = self.now;
        }
    }

    /// Whether entries expire at all.
    #[inline]
    pub(crate) fn is_bounded(&self) -> bool {
        self.stamp > 0
    }

    /// Bytes before each value.
    #[inline]
    pub(crate) fn stamp_bytes(&self) -> usize {
        self.stamp
    }

    /// What an entry of a map counts for: its name and its value.
    pub(crate) fn entry_bytes(&self, name: &[u8], stored: &[u8]) -> u64 {
        (name.len() + stored.len() - self.stamp) as u64
    }

    /// The value, unless its time is over.
    #[inline]
    pub(crate) fn living<'s>(&self, stored: &'s [u8]) -> Option<&'s [u8]> {
        if self.stamp > 0 && self.has_expired(stored) { None } else { Some(&stored[self.stamp..]) }
    }

    pub(crate) fn has_expired(&self, stored: &[u8]) -> bool {
        let Some(stamp) = stored.first_chunk().filter(|_| self.stamp > 0) else { return false };
        let written = match i64::from_le_bytes(*stamp) {
            BEFORE_TIME => self.began,
            written => written,
        };
        written.saturating_add(self.ttl_ms) <= self.now
    }

    /// Overwrites what is stored with a value written now.
    #[inline]
    pub(crate) fn overwrite(&self, stored: &mut InlineBytes, value: &[u8]) {
        if self.stamp == 0 {
            overwrite(stored, value);
        } else {
            stored.clear();
            stored.extend_from_slice(&self.now.to_le_bytes());
            stored.extend_from_slice(value);
        }
    }

    /// A value of a file, as it is stored here. If nobody noted when it was written, it counts as written now.
    pub(crate) fn restored(&self, value: Stored<'_>) -> InlineBytes {
        let mut stored = InlineBytes::new();
        if self.stamp > 0 {
            let written = value.written.filter(|written| *written != BEFORE_TIME).unwrap_or(self.now);
            stored.extend_from_slice(&written.to_le_bytes());
        }
        stored.extend_from_slice(value.bytes);
        stored
    }

    /// The counterpart of [`Self::restored`].
    pub(crate) fn stored<'s>(stamped: bool, stored: &'s [u8]) -> Stored<'s> {
        match stored.split_first_chunk() {
            Some((stamp, bytes)) if stamped => Stored { written: Some(i64::from_le_bytes(*stamp)), bytes },
            Some(_) | None => Stored { written: None, bytes: stored },
        }
    }
}
