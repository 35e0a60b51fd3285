//! A bounded queue between those who bring events (requests, connections) and the reader that decodes them.
//!
//! Bounded in bytes, each event costing a little more than its own bytes, so that empty ones are bounded too. Knows
//! nothing of HTTP or of sockets.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;
use std::time::Instant;

use gristmill_ports::PortError;
use tokio::sync::Notify;

/// What an event costs beside its bytes.
pub(crate) const EVENT_COST: usize = 64;

/// When to come again after the end: by then the source is gone, and whoever comes is told so.
const AFTER_THE_END_MS: u64 = 1000;

/// One thing that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// The bytes of an event.
    Event(Vec<u8>),
    /// The beginning of an event whose rest is lost, and why.
    Cut { head: Vec<u8>, reason: String },
}

impl Item {
    fn cost(&self) -> usize {
        let (Self::Event(bytes) | Self::Cut { head: bytes, .. }) = self;
        bytes.len() + EVENT_COST
    }
}

/// What [`Arrivals::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The items, in order; never none.
    Items(Vec<Item>),
    /// Nothing is at hand; the waker will be woken when there is.
    Nothing,
    /// Nothing is at hand, and nothing will ever be.
    Ended(Result<(), PortError>),
}

/// The queue.
pub(crate) struct Arrivals {
    state: Mutex<State>,
    room: Notify,
    capacity: usize,
}

struct State {
    items: VecDeque<Item>,
    cost: usize,
    /// Readers that found nothing.
    waiting: Vec<Waker>,
    end: Option<Result<(), PortError>>,
    /// Some items came by [`Arrivals::offer`], whose sender was told that they were taken.
    promised: bool,
    drain: DrainRate,
}

impl Arrivals {
    /// A queue for so many bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            cost: 0,
            waiting: Vec::new(),
            end: None,
            promised: false,
            drain: DrainRate { since: Instant::now(), cost: 0, cost_per_ms: 0.0 },
        };
        Self { state: Mutex::new(state), room: Notify::new(), capacity }
    }

    /// Puts all items in or none. `Err` is a guess at when there will be room, in milliseconds.
    pub(crate) fn offer(&self, items: Vec<Item>) -> Result<(), u64> {
        let cost = cost_of(&items);
        let mut state = self.lock();
        if state.end.is_some() {
            return Err(AFTER_THE_END_MS);
        }
        if state.cost + cost > self.capacity {
            return Err(state.drain.ms_for(state.cost + cost - self.capacity));
        }
        state.promised = true;
        state.cost += cost;
        state.items.extend(items);
        wake_all(state);
        Ok(())
    }

    /// Puts the items in, waiting while the queue is full. Items that are larger than the whole queue go in alone.
    pub(crate) async fn push(&self, items: Vec<Item>) {
        let cost = cost_of(&items);
        loop {
            let room = self.room.notified();
            {
                let mut state = self.lock();
                if state.cost + cost <= self.capacity || state.cost == 0 {
                    state.cost += cost;
                    state.items.extend(items);
                    wake_all(state);
                    return;
                }
            }
            room.await;
        }
    }

    /// Nothing more will come.
    pub(crate) fn end(&self, how: Result<(), PortError>) {
        let mut state = self.lock();
        state.end = Some(how);
        wake_all(state);
    }

    /// Takes nothing in any more by [`Self::offer`]. Whether something that came so is still here.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        state.end.get_or_insert(Ok(()));
        state.promised && !state.items.is_empty()
    }

    /// Takes what is at hand: at least one item, then as long as the bounds permit.
    pub(crate) fn take(&self, max_items: usize, max_bytes: usize, waker: &Waker) -> Taken {
        let mut state = self.lock();
        if state.items.is_empty() {
            if let Some(end) = &state.end {
                return Taken::Ended(end.clone());
            }
            if !state.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
                state.waiting.push(waker.clone());
            }
            return Taken::Nothing;
        }
        let mut items = Vec::new();
        let (mut bytes, mut cost) = (0, 0);
        while let Some(next) = state.items.front() {
            bytes += next.cost() - EVENT_COST;
            if !items.is_empty() && (items.len() >= max_items || bytes > max_bytes) {
                break;
            }
            cost += next.cost();
            items.extend(state.items.pop_front());
        }
        state.cost -= cost;
        state.drain.took(cost);
        drop(state);
        self.room.notify_one();
        Taken::Items(items)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// What a number of items cost.
pub(crate) fn cost_of(items: &[Item]) -> usize {
    items.iter().map(Item::cost).sum()
}

fn wake_all(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

/// How fast the reader empties the queue, over about a second.
struct DrainRate {
    since: Instant,
    cost: usize,
    cost_per_ms: f64,
}

impl DrainRate {
    fn took(&mut self, cost: usize) {
        self.cost += cost;
        let elapsed_ms = self.since.elapsed().as_millis() as f64;
        if elapsed_ms >= 500.0 {
            let latest = self.cost as f64 / elapsed_ms;
            self.cost_per_ms = if self.cost_per_ms == 0.0 { latest } else { (self.cost_per_ms + latest) / 2.0 };
            (self.since, self.cost) = (Instant::now(), 0);
        }
    }

    /// How long until so much is taken; between a tenth of a second and ten seconds, since it is a guess.
    fn ms_for(&self, cost: usize) -> u64 {
        let ms = if self.cost_per_ms > 0.0 { cost as f64 / self.cost_per_ms } else { 1000.0 };
        ms.clamp(100.0, 10_000.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(sizes: &[usize]) -> Vec<Item> {
        sizes.iter().map(|&size| Item::Event(vec![b'x'; size])).collect()
    }

    #[test]
    fn what_was_promised_is_still_given_after_the_close_and_nothing_new_comes_in() {
        let arrivals = Arrivals::new(1000);
        arrivals.offer(events(&[1, 2])).expect("room");
        assert!(arrivals.close());
        arrivals.offer(events(&[3])).expect_err("closed");
        assert_eq!(arrivals.take(10, 1000, Waker::noop()), Taken::Items(events(&[1, 2])));
        assert_eq!(arrivals.take(10, 1000, Waker::noop()), Taken::Ended(Ok(())));
        assert!(!arrivals.close(), "nothing is left");
    }

    fn take(arrivals: &Arrivals, max_items: usize, max_bytes: usize) -> Vec<usize> {
        match arrivals.take(max_items, max_bytes, Waker::noop()) {
            Taken::Items(items) => items.iter().map(|item| item.cost() - EVENT_COST).collect(),
            Taken::Nothing | Taken::Ended(_) => Vec::new(),
        }
    }

    #[test]
    fn an_offer_is_taken_whole_or_not_at_all() {
        let arrivals = Arrivals::new(300);
        assert_eq!(arrivals.offer(events(&[50, 50])), Ok(()));
        let later = arrivals.offer(events(&[1, 10])).expect_err("no room");
        assert!((100..=10_000).contains(&later));
        assert_eq!(take(&arrivals, 10, 1000), [50, 50]);
        assert_eq!(arrivals.offer(events(&[1, 10])), Ok(()));
        assert_eq!(take(&arrivals, 10, 1000), [1, 10]);
    }

    #[test]
    fn empty_events_are_bounded_too() {
        let arrivals = Arrivals::new(10 * EVENT_COST);
        assert_eq!(arrivals.offer(events(&[0; 10])), Ok(()));
        assert!(arrivals.offer(events(&[0])).is_err());
    }

    #[test]
    fn what_is_taken_keeps_to_the_bounds_but_a_large_event_comes_alone() {
        let arrivals = Arrivals::new(10_000);
        arrivals.offer(events(&[500, 5, 5, 5, 90])).expect("room");
        assert_eq!(take(&arrivals, 10, 100), [500]);
        assert_eq!(take(&arrivals, 2, 100), [5, 5]);
        assert_eq!(take(&arrivals, 10, 94), [5]);
        assert_eq!(take(&arrivals, 10, 94), [90]);
    }

    #[test]
    fn the_end_comes_after_the_last_event() {
        let arrivals = Arrivals::new(1000);
        arrivals.offer(events(&[1])).expect("room");
        arrivals.end(Ok(()));
        assert_eq!(take(&arrivals, 10, 10), [1]);
        assert_eq!(arrivals.take(10, 10, Waker::noop()), Taken::Ended(Ok(())));
    }

    #[tokio::test]
    async fn a_push_waits_until_there_is_room() {
        let arrivals = std::sync::Arc::new(Arrivals::new(200));
        arrivals.push(events(&[100])).await;
        let pusher = tokio::spawn({
            let arrivals = std::sync::Arc::clone(&arrivals);
            async move { arrivals.push(events(&[90])).await }
        });
        tokio::task::yield_now().await;
        assert!(!pusher.is_finished());
        assert_eq!(take(&arrivals, 10, 1000), [100]);
        pusher.await.expect("it goes on");
        assert_eq!(take(&arrivals, 10, 1000), [90]);
    }
}
