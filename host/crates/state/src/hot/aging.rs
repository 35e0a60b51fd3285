//! Time passes: what has expired is looked for, a little in each call.

use gristmill_ports::state::StateTime;
use gristmill_types::{EventBatch, StateIndex};

use super::Backend;
use crate::call::KeyId;
use crate::cold::Cold;

/// Rows of a call for each key that is looked at for what has expired, whether it is used or not.
const ROWS_PER_SWEPT_KEY: usize = 16;

/// Entries of one map that are looked at for what has expired at a time.
const SWEPT_ENTRIES: usize = if cfg!(test) { 2 } else { 64 };

#[expect(private_bounds, reason = "which cold stores there are is this crate's own affair")]
impl<C: Cold> Backend<C> {
    /// Says what time it is, and deletes what has expired of a few keys, so that a key that never comes again does not
    /// stay for ever.
    #[cold]
    pub(super) fn expire(&mut self, rows: usize, time: StateTime) {
        self.states.iter_mut().for_each(|state| state.table.set_time(time));
        self.cold.set_time(time);
        for _ in 0..(1 + rows / ROWS_PER_SWEPT_KEY).min(self.keys.end()) {
            self.swept = (self.swept + 1) % self.keys.end();
            let key = KeyId(self.swept as u32);
            for (index, state) in self.states.iter_mut().enumerate() {
                let place = (StateIndex(index as u32), key);
                let from = self.sweeping.take(place);
                let slice = (from.as_slice(), SWEPT_ENTRIES);
                let next = state.table.sweep(key, slice, self.residency.handed_over(), &mut self.keys);
                self.sweeping.keep(place, next);
            }
        }
    }
}

/// Before the first watermark the latest event says how far event time has come; what is written then would otherwise
/// be older than anything, and gone with the first watermark.
pub(super) fn reached(time: StateTime, events: &EventBatch) -> StateTime {
    match (time.event_ms, events.timestamps().iter().max()) {
        (i64::MIN, Some(&latest)) => StateTime { event_ms: latest, ..time },
        (_, Some(_) | None) => time,
    }
}
