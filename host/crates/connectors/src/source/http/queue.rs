//! What waits at a source: offers for the log, events for the reader; and what that costs.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use gristmill_ports::ingress::OnDurable;

use super::drain_rate::DrainRate;
use super::keys::{KeyHash, Keys};
use super::log::Group;
use super::passage::{Logged, Waiting, logged};
use crate::arrivals::EVENT_COST;

/// Bytes that go into the log at once; a larger offer goes alone.
const MOST_AT_ONCE: usize = 16 << 20;

/// What stands between the requests, the writer of the log and the reader, behind a lock.
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) ready: VecDeque<Logged>,
    /// Of the offers that wait, those in the writer's hands, and the events that are ready.
    pub(super) cost: usize,
    /// Of the offers that are not in the log.
    pub(super) unlogged: usize,
    /// Bytes of the log.
    pub(super) logged: u64,
    pub(super) keys: Keys,
    /// Keys of offers that are not in the log yet, and their events.
    pub(super) on_the_way: HashMap<KeyHash, KeyHash>,
    /// The writer has offers in its hands.
    pub(super) is_writing: bool,
    /// Not told to the writer yet.
    pub(super) forget_before: Option<u64>,
    /// Offers that came, and those of them that the writer is done with.
    pub(super) offered: u64,
    pub(super) settled: u64,
    /// The number that the next event in the log will have.
    pub(super) next: u64,
    /// Nothing is taken in for now.
    pub(super) held: bool,
    /// Nothing is taken in any more.
    pub(super) closed: bool,
    /// The reader has gone.
    pub(super) gone: bool,
    pub(super) waker: Option<Waker>,
    pub(super) drain: DrainRate,
}

impl Queue {
    /// Nothing, before a log of so many bytes in which these keys were used; the next event has this number.
    pub(super) fn new(logged: u64, next: u64, keys: Keys) -> Self {
        Self {
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            cost: 0,
            unlogged: 0,
            logged,
            keys,
            on_the_way: HashMap::new(),
            is_writing: false,
            forget_before: None,
            offered: 0,
            settled: 0,
            next,
            held: false,
            closed: false,
            gone: false,
            waker: None,
            drain: DrainRate::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing
    }

    pub(super) fn take_waiting(&mut self) -> Vec<Waiting> {
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

    pub(super) fn hand_over(&mut self, group: Group) {
        for logged in logged(group) {
            self.cost += logged.event.len() + EVENT_COST;
            self.next = logged.number + 1;
            self.ready.push_back(logged);
        }
    }

    /// The writer is done with this offer. Gives what it is to be told.
    pub(super) fn settle(&mut self, offer: Waiting, is_appended: bool) -> (OnDurable, bool) {
        let Waiting { key, follows, on_durable, cost, .. } = offer;
        self.cost -= cost;
        self.unlogged -= cost;
        self.settled += 1;
        if let Some(used) = key.filter(|_| !follows) {
            self.on_the_way.remove(&used.key);
        }
        // What it follows may have failed, and others may have come under its key since.
        (on_durable, if follows { key.is_some_and(|used| self.keys.has(used)) } else { is_appended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::http::keys::UsedKey;
    use crate::source::http::log::LoggedOffer;

    fn waiting(used: UsedKey, event: &[u8], follows: bool) -> Waiting {
        Waiting { events: vec![event.to_vec()], key: Some(used), follows, on_durable: Box::new(drop), cost: 0 }
    }

    #[test]
    fn an_offer_whose_first_failed_is_not_in_the_log_though_other_events_came_under_its_key() {
        let [a, b] = [b"a", b"b"].map(|event| KeyHash::of_events(&[event.to_vec()]));
        let used = |events| UsedKey { key: KeyHash(1), events };
        for (later, event, is_logged) in [(b, b"b", false), (a, b"a", true)] {
            let mut queue = Queue::new(0, 0, Keys::of_log(1 << 30));
            assert!(!queue.settle(waiting(used(a), b"a", false), false).1, "the disk is full");
            let offers = vec![LoggedOffer { key: Some(KeyHash(1)), events: vec![event.to_vec()] }];
            let group = Group { first: 0, arrived_ms: 0, offers };
            group.remembered().for_each(|key| queue.keys.remember(key));
            assert!(queue.settle(waiting(used(later), event, false), true).1);
            assert_eq!(queue.settle(waiting(used(a), b"a", true), false).1, is_logged);
        }
    }
}
