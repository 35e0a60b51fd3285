//! What stands between the requests, the writer of the log and the reader: offers that wait for the log, and events that
//! are in it and wait to be read.
//!
//! To the client log and buffer are one: an offer has room in both or is refused. Bounded in bytes, each event costing a
//! little more than its own, so that empty ones are bounded too.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::task::Waker;

use gristmill_ports::ingress::{IngressAnswer, Offer, OnDurable};

use super::drain_rate::DrainRate;
use super::keys::{KeyHash, Keys, Remembered};
use super::log::Group;
use super::passage::{Logged, Waiting, logged, now_ms};
use crate::arrivals::EVENT_COST;

/// When to come again after the end: by then the source is gone, and whoever comes is told so.
const AFTER_THE_END_MS: u64 = 1000;

/// When to come again if the log is full: checkpoints let go of it.
const LOG_FULL_MS: u64 = 5000;

/// Bytes that go into the log at once; a larger offer goes alone.
const MOST_AT_ONCE: usize = 16 << 20;

/// Bytes of the largest offer, whatever the job asks for: lengths in the log have 32 bits.
const LARGEST_OFFER: u64 = 1 << 30;

/// What the writer is to do.
pub(super) enum Work {
    /// These offers belong into the log.
    Append(Vec<Waiting>),
    /// Nothing before this event is needed any more.
    Forget(u64),
    /// The reader has gone; these offers are not in the log.
    Leave(Vec<Waiting>),
}

/// What the reader finds.
pub(super) enum Ready {
    /// Never none.
    Events(Vec<Logged>),
    /// The waker will be woken when there is something.
    Nothing,
    Ended,
}

pub(super) struct Intake {
    state: Mutex<State>,
    work: Condvar,
    buffer_bytes: u64,
    most_logged: u64,
}

struct State {
    waiting: VecDeque<Waiting>,
    ready: VecDeque<Logged>,
    /// Of the offers that wait, those in the writer's hands, and the events that are ready.
    cost: usize,
    /// Of the offers that are not in the log.
    unlogged: usize,
    /// Bytes of the log.
    logged: u64,
    keys: Keys,
    /// Keys of offers that are not in the log yet, and their events.
    on_the_way: HashMap<KeyHash, KeyHash>,
    /// The writer has offers in its hands.
    is_writing: bool,
    /// Not told to the writer yet.
    forget_before: Option<u64>,
    /// Nothing is taken in any more.
    closed: bool,
    /// The reader has gone.
    gone: bool,
    waker: Option<Waker>,
    drain: DrainRate,
}

impl Intake {
    /// For a log of so many bytes in which these keys were used.
    pub(super) fn new(buffer_bytes: u64, most_logged: u64, logged: u64, keys: Keys) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            cost: 0,
            unlogged: 0,
            logged,
            keys,
            on_the_way: HashMap::new(),
            is_writing: false,
            forget_before: None,
            closed: false,
            gone: false,
            waker: None,
            drain: DrainRate::new(),
        };
        let buffer_bytes = buffer_bytes.min(LARGEST_OFFER);
        Self { state: Mutex::new(state), work: Condvar::new(), buffer_bytes, most_logged }
    }

    /// Takes an offer in, or says why not. Does not block.
    pub(super) fn offer(&self, offer: Offer) -> IngressAnswer {
        let Offer { events, idempotency_key, on_durable } = offer;
        let key = idempotency_key.map(|key| (KeyHash::of_key(&key), KeyHash::of_events(&events)));
        let mut state = self.lock();
        let mut follows = false;
        if let Some((key, under_it)) = key {
            let logged = state.keys.find(key, now_ms());
            match logged.or_else(|| state.on_the_way.get(&key).copied()) {
                None => {}
                Some(other) if other != under_it => return IngressAnswer::KeyReused,
                Some(_) if logged.is_some() => {
                    drop(state);
                    on_durable(Ok(()));
                    return IngressAnswer::Taken;
                }
                Some(_) => follows = true,
            }
        }
        let events = if follows { Vec::new() } else { events };
        let bytes: usize = events.iter().map(Vec::len).sum();
        let cost = bytes + EVENT_COST * events.len().max(1);
        if let Some(refusal) = self.refusal(&state, cost) {
            return refusal;
        }
        if let Some((key, events)) = key.filter(|_| !follows) {
            state.on_the_way.insert(key, events);
        }
        state.cost += cost;
        state.unlogged += cost;
        let key = key.map(|(key, _)| key);
        state.waiting.push_back(Waiting { events, key, follows, on_durable, cost });
        drop(state);
        self.work.notify_one();
        IngressAnswer::Taken
    }

    /// Why there is no room for so much.
    fn refusal(&self, state: &State, cost: usize) -> Option<IngressAnswer> {
        let largest = self.buffer_bytes.min(self.most_logged);
        if cost as u64 > largest {
            return Some(IngressAnswer::TooLarge { buffer_bytes: largest });
        }
        if state.closed || state.gone {
            return Some(IngressAnswer::Full { retry_after_ms: AFTER_THE_END_MS });
        }
        let wanted = (state.cost + cost) as u64;
        if wanted > self.buffer_bytes {
            let too_much = (wanted - self.buffer_bytes) as usize;
            return Some(IngressAnswer::Full { retry_after_ms: state.drain.ms_for(too_much) });
        }
        if state.logged + (state.unlogged + cost) as u64 > self.most_logged {
            return Some(IngressAnswer::Full { retry_after_ms: LOG_FULL_MS });
        }
        None
    }

    /// Waits until there is something to do.
    pub(super) fn next_work(&self) -> Work {
        let mut state = self.lock();
        loop {
            if state.gone {
                return Work::Leave(state.waiting.drain(..).collect());
            }
            if let Some(oldest) = state.forget_before.take() {
                return Work::Forget(oldest);
            }
            if !state.waiting.is_empty() {
                state.is_writing = true;
                return Work::Append(state.take_waiting());
            }
            state = self.work.wait(state).expect("nothing panics while it holds this lock");
        }
    }

    /// The keys that are in the log.
    pub(super) fn keys(&self) -> Vec<Remembered> {
        self.lock().keys.iter().copied().collect()
    }

    /// The log has so many bytes now.
    pub(super) fn set_logged(&self, bytes: u64) {
        self.lock().logged = bytes;
    }

    /// The new ones of these offers are in the log, as this group, or could not be put there. The reader may have the
    /// group's events. Gives what each is to be told: whether it is in the log.
    pub(super) fn done(&self, offers: Vec<Waiting>, group: Option<Group>, logged: u64) -> Vec<(OnDurable, bool)> {
        let mut state = self.lock();
        state.logged = logged;
        state.is_writing = false;
        let is_appended = group.is_some();
        if let Some(group) = group {
            group.remembered().for_each(|key| state.keys.remember(key));
            state.hand_over(group);
        }
        let answers = offers.into_iter().map(|offer| state.settle(offer, is_appended)).collect();
        wake(state);
        answers
    }

    /// Nothing before this event is needed any more.
    pub(super) fn forget_before(&self, oldest: u64) {
        self.lock().forget_before = Some(oldest);
        self.work.notify_one();
    }

    /// What is ready: at least one event, then as long as the bounds permit.
    pub(super) fn take(&self, max_events: usize, max_bytes: usize, waker: &Waker) -> Ready {
        let mut state = self.lock();
        if state.ready.is_empty() {
            if state.closed && state.is_idle() {
                return Ready::Ended;
            }
            state.waker = Some(waker.clone());
            return Ready::Nothing;
        }
        let mut events = Vec::new();
        let (mut bytes, mut cost) = (0, 0);
        while let Some(next) = state.ready.front() {
            bytes += next.event.len();
            if !events.is_empty() && (events.len() >= max_events || bytes > max_bytes) {
                break;
            }
            cost += next.event.len() + EVENT_COST;
            events.extend(state.ready.pop_front());
        }
        state.cost -= cost;
        state.drain.took(cost);
        Ready::Events(events)
    }

    /// Takes nothing in any more. Whether something that came before is still here.
    pub(super) fn close(&self) -> bool {
        let mut state = self.lock();
        state.closed = true;
        !(state.ready.is_empty() && state.is_idle())
    }

    /// The reader goes.
    pub(super) fn leave(&self) {
        self.lock().gone = true;
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing
    }

    fn take_waiting(&mut self) -> Vec<Waiting> {
        let mut taken = Vec::new();
        let mut cost = 0;
        while let Some(next) = self.waiting.front().map(|next| next.cost) {
            if cost > 0 && cost + next > MOST_AT_ONCE {
                break;
            }
            cost += next;
            taken.extend(self.waiting.pop_front());
        }
        taken
    }

    fn hand_over(&mut self, group: Group) {
        for logged in logged(group) {
            self.cost += logged.event.len() + EVENT_COST;
            self.ready.push_back(logged);
        }
    }

    /// The writer is done with this offer. Gives what it is to be told.
    fn settle(&mut self, offer: Waiting, is_appended: bool) -> (OnDurable, bool) {
        let Waiting { key, follows, on_durable, cost, .. } = offer;
        self.cost -= cost;
        self.unlogged -= cost;
        if let Some(key) = key.filter(|_| !follows) {
            self.on_the_way.remove(&key);
        }
        (on_durable, if follows { key.is_some_and(|key| self.keys.has(key)) } else { is_appended })
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
