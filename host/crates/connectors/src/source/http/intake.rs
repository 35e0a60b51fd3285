//! What stands between the requests, the writer of the log and the reader: offers that wait for the log, and events that
//! are in it and wait to be read.
//!
//! To the client log and buffer are one: an offer has room in both or is refused. Bounded in bytes, each event costing a
//! little more than its own, so that empty ones are bounded too.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::task::Waker;

use gristmill_ports::ingress::{IngressAnswer, Offer, OnDurable};

use super::keys::{KeyHash, Keys, Remembered, UsedKey};
use super::log::Group;
use super::passage::{Logged, Waiting, now_ms};
use super::queue::Queue;
use crate::arrivals::EVENT_COST;

/// When to come again after the end: by then the source is gone, and whoever comes is told so.
const AFTER_THE_END_MS: u64 = 1000;

/// When to come again if the log is full: checkpoints let go of it.
const LOG_FULL_MS: u64 = 5000;

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
    queue: Mutex<Queue>,
    work: Condvar,
    /// Rung when the writer is done with some offers.
    settled: Condvar,
    buffer_bytes: u64,
    most_logged: u64,
}

impl Intake {
    /// For a log of which these keys were used, with so many bytes and this number for the next event.
    pub(super) fn new(buffer_bytes: u64, most_logged: u64, (logged, next): (u64, u64), keys: Keys) -> Self {
        let queue = Queue::new(logged, next, keys);
        let buffer_bytes = buffer_bytes.min(LARGEST_OFFER);
        let (work, settled) = (Condvar::new(), Condvar::new());
        Self { queue: Mutex::new(queue), work, settled, buffer_bytes, most_logged }
    }

    /// Takes an offer in, or says why not. Does not block.
    pub(super) fn offer(&self, offer: Offer) -> IngressAnswer {
        let Offer { events, idempotency_key, on_durable } = offer;
        let used = |key: String| UsedKey { key: KeyHash::of_key(&key), events: KeyHash::of_events(&events) };
        let key = idempotency_key.map(used);
        let mut queue = self.lock();
        let mut follows = false;
        if let Some(used) = key {
            let logged = queue.keys.find(used.key, now_ms());
            match logged.or_else(|| queue.on_the_way.get(&used.key).copied()) {
                None => {}
                Some(other) if other != used.events => return IngressAnswer::KeyReused,
                Some(_) if logged.is_some() => {
                    drop(queue);
                    on_durable(Ok(()));
                    return IngressAnswer::Taken;
                }
                Some(_) => follows = true,
            }
        }
        let events = if follows { Vec::new() } else { events };
        let bytes: usize = events.iter().map(Vec::len).sum();
        let cost = bytes + EVENT_COST * events.len().max(1);
        if let Some(refusal) = self.refusal(&queue, cost) {
            return refusal;
        }
        if let Some(used) = key.filter(|_| !follows) {
            queue.on_the_way.insert(used.key, used.events);
        }
        queue.cost += cost;
        queue.unlogged += cost;
        queue.offered += 1;
        queue.waiting.push_back(Waiting { events, key, follows, on_durable, cost });
        drop(queue);
        self.work.notify_one();
        IngressAnswer::Taken
    }

    /// Why there is no room for so much.
    fn refusal(&self, queue: &Queue, cost: usize) -> Option<IngressAnswer> {
        let largest = self.buffer_bytes.min(self.most_logged);
        if cost as u64 > largest {
            return Some(IngressAnswer::TooLarge { buffer_bytes: largest });
        }
        if queue.closed || queue.gone || queue.held {
            return Some(IngressAnswer::Full { retry_after_ms: AFTER_THE_END_MS });
        }
        let wanted = (queue.cost + cost) as u64;
        if wanted > self.buffer_bytes {
            let too_much = (wanted - self.buffer_bytes) as usize;
            return Some(IngressAnswer::Full { retry_after_ms: queue.drain.ms_for(too_much) });
        }
        if queue.logged + (queue.unlogged + cost) as u64 > self.most_logged {
            return Some(IngressAnswer::LogFull { retry_after_ms: LOG_FULL_MS });
        }
        None
    }

    /// Waits until there is something to do.
    pub(super) fn next_work(&self) -> Work {
        let mut queue = self.lock();
        loop {
            if queue.gone {
                return Work::Leave(queue.waiting.drain(..).collect());
            }
            if let Some(oldest) = queue.forget_before.take() {
                return Work::Forget(oldest);
            }
            if !queue.waiting.is_empty() {
                queue.is_writing = true;
                return Work::Append(queue.take_waiting());
            }
            queue = self.work.wait(queue).expect("nothing panics while it holds this lock");
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
        let mut queue = self.lock();
        queue.logged = logged;
        queue.is_writing = false;
        let is_appended = group.is_some();
        if let Some(group) = group {
            group.remembered().for_each(|key| queue.keys.remember(key));
            queue.hand_over(group);
        }
        let answers = offers.into_iter().map(|offer| queue.settle(offer, is_appended)).collect();
        wake(queue);
        self.settled.notify_all();
        answers
    }

    /// Nothing is taken in while this is held.
    pub(super) fn hold(&self, held: bool) {
        self.lock().held = held;
    }

    /// Waits until every offer that has come so far is in the log or refused. Gives the number behind the last event of
    /// the log, and the keys that were used in it; `None` if the reader has gone meanwhile.
    pub(super) fn settle(&self) -> Option<(u64, Vec<Remembered>)> {
        let mut queue = self.lock();
        let offered = queue.offered;
        while queue.settled < offered && !queue.gone {
            queue = self.settled.wait(queue).expect("nothing panics while it holds this lock");
        }
        (!queue.gone).then(|| (queue.next, queue.keys.iter().copied().collect()))
    }

    /// Nothing before this event is needed any more.
    pub(super) fn forget_before(&self, oldest: u64) {
        self.lock().forget_before = Some(oldest);
        self.work.notify_one();
    }

    /// What is ready: at least one event, then as long as the bounds permit.
    pub(super) fn take(&self, max_events: usize, max_bytes: usize, waker: &Waker) -> Ready {
        let mut queue = self.lock();
        if queue.ready.is_empty() {
            if queue.closed && queue.is_idle() {
                return Ready::Ended;
            }
            queue.waker = Some(waker.clone());
            return Ready::Nothing;
        }
        let mut events = Vec::new();
        let (mut bytes, mut cost) = (0, 0);
        while let Some(next) = queue.ready.front() {
            bytes += next.event.len();
            if !events.is_empty() && (events.len() >= max_events || bytes > max_bytes) {
                break;
            }
            cost += next.event.len() + EVENT_COST;
            events.extend(queue.ready.pop_front());
        }
        queue.cost -= cost;
        queue.drain.took(cost);
        Ready::Events(events)
    }

    /// Takes nothing in any more. Whether something that came before is still here.
    pub(super) fn close(&self) -> bool {
        let mut queue = self.lock();
        queue.closed = true;
        !(queue.ready.is_empty() && queue.is_idle())
    }

    /// The reader goes.
    pub(super) fn leave(&self) {
        self.lock().gone = true;
        self.work.notify_one();
        self.settled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while it holds this lock")
    }
}

fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}
