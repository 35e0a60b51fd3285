//! What time it is for the database, whose compactions drop what has expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ::rocksdb::compaction_filter::Decision;
use gristmill_ports::state::StateTime;
use gristmill_types::descriptor::{StateKind, StateSpec};

use super::codec;
use crate::expiry::Expiry;

/// The time that a task has last told.
#[derive(Debug)]
pub(super) struct Clock {
    processing_ms: AtomicI64,
    event_ms: AtomicI64,
}

impl Clock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { processing_ms: AtomicI64::new(i64::MIN), event_ms: AtomicI64::new(i64::MIN) })
    }

    pub(super) fn set(&self, time: StateTime) {
        self.processing_ms.store(time.processing_ms, Ordering::Relaxed);
        self.event_ms.store(time.event_ms, Ordering::Relaxed);
    }

    fn time(&self) -> StateTime {
        StateTime {
            processing_ms: self.processing_ms.load(Ordering::Relaxed),
            event_ms: self.event_ms.load(Ordering::Relaxed),
        }
    }
}

/// Tells what has expired. Lists are left alone: they lie there as a whole, and are looked through when they come in.
#[derive(Debug, Clone)]
pub(super) struct Expired {
    clock: Arc<Clock>,
    /// By state; nothing for those whose entries do not expire one by one.
    states: Vec<Option<Expiry>>,
}

impl Expired {
    pub(super) fn new(clock: Arc<Clock>, states: &[StateSpec]) -> Self {
        let one_by_one = |spec: &&StateSpec| match spec.kind {
            StateKind::Value | StateKind::OrderedMap => spec.ttl_ms.is_some(),
            StateKind::AppendList | StateKind::Accumulator => false,
        };
        let expiry = |spec: &StateSpec| Some(spec).filter(one_by_one).map(Expiry::of);
        Self { clock, states: states.iter().map(expiry).collect() }
    }

    /// What a compaction does with an entry.
    pub(super) fn decide(&self, place: &[u8], stored: &[u8]) -> Decision {
        let state = codec::state_of(place).and_then(|state| self.states.get(state.at()).copied().flatten());
        match state {
            Some(mut expiry) => {
                expiry.set_time(self.clock.time());
                if expiry.has_expired(stored) { Decision::Remove } else { Decision::Keep }
            }
            None => Decision::Keep,
        }
    }
}
