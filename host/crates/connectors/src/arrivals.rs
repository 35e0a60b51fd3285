//! A bounded queue between a connection that brings events and the reader that decodes them.
//!
//! Bounded in bytes, each event costing a little more than its own bytes, so that empty ones are bounded too. Knows
//! nothing of sockets.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;

use gristmill_ports::PortError;
use tokio::sync::Notify;

/// What an event costs beside its bytes.
pub(crate) const EVENT_COST: usize = 64;

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
    /// Nothing is at hand, and here is why; the waker will be woken when there is.
    Trouble(PortError),
    /// Nothing is at hand, and nothing will ever be.
    Ended(Result<(), PortError>),
}

/// The queue has ended and takes nothing in any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over;

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
    /// What keeps events from coming, not told yet.
    trouble: Option<PortError>,
}

impl Arrivals {
    /// A queue for so many bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State { items: VecDeque::new(), cost: 0, waiting: Vec::new(), end: None, trouble: None };
        Self { state: Mutex::new(state), room: Notify::new(), capacity }
    }

    /// Waits while the queue is full. Whoever waits before it reads needs no room for what it has read: so nothing that
    /// was read is ever outside the queue. Then the queue holds at most one such reading more than its bound.
    pub(crate) async fn room(&self) {
        loop {
            let room = self.room.notified();
            if self.has_room() {
                return;
            }
            room.await;
        }
    }

    fn has_room(&self) -> bool {
        let state = self.lock();
        state.cost < self.capacity || state.end.is_some()
    }

    /// Puts the items in, for which [`Self::room`] was waited.
    pub(crate) fn push(&self, items: Vec<Item>) -> Result<(), Over> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Err(Over);
        }
        if !items.is_empty() {
            state.cost += cost_of(&items);
            state.items.extend(items);
            wake_all(state);
        }
        Ok(())
    }

    /// Whether nothing is taken in any more.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Nothing comes for now, and this is why. Told once, behind all that came before.
    pub(crate) fn complain(&self, trouble: PortError) {
        let mut state = self.lock();
        state.trouble = Some(trouble);
        wake_all(state);
    }

    /// Nothing more will come.
    pub(crate) fn end(&self, how: Result<(), PortError>) {
        let mut state = self.lock();
        state.end.get_or_insert(how);
        wake_all(state);
    }

    /// Takes nothing in any more. Whether something that came before is still here.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        state.end.get_or_insert(Ok(()));
        let something_is_left = !state.items.is_empty();
        drop(state);
        self.room.notify_one();
        something_is_left
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
            return state.trouble.take().map_or(Taken::Nothing, Taken::Trouble);
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
        drop(state);
        self.room.notify_one();
        Taken::Items(items)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// What a number of items cost.
fn cost_of(items: &[Item]) -> usize {
    items.iter().map(Item::cost).sum()
}

fn wake_all(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(sizes: &[usize]) -> Vec<Item> {
        sizes.iter().map(|&size| Item::Event(vec![b'x'; size])).collect()
    }

    #[test]
    fn what_came_in_is_still_given_after_the_close_and_nothing_new_comes_in() {
        let arrivals = Arrivals::new(1000);
        arrivals.push(events(&[1, 2])).expect("open");
        assert!(arrivals.close(), "something is left");
        assert_eq!(arrivals.push(events(&[3])), Err(Over));
        assert_eq!(arrivals.take(10, 1000, Waker::noop()), Taken::Items(events(&[1, 2])));
        assert_eq!(arrivals.take(10, 1000, Waker::noop()), Taken::Ended(Ok(())));
        assert!(!arrivals.close(), "nothing is left");
    }

    fn take(arrivals: &Arrivals, max_items: usize, max_bytes: usize) -> Vec<usize> {
        match arrivals.take(max_items, max_bytes, Waker::noop()) {
            Taken::Items(items) => items.iter().map(|item| item.cost() - EVENT_COST).collect(),
            Taken::Nothing | Taken::Trouble(_) | Taken::Ended(_) => Vec::new(),
        }
    }

    #[test]
    fn what_is_taken_keeps_to_the_bounds_but_a_large_event_comes_alone() {
        let arrivals = Arrivals::new(10_000);
        arrivals.push(events(&[500, 5, 5, 5, 90])).expect("open");
        assert_eq!(take(&arrivals, 10, 100), [500]);
        assert_eq!(take(&arrivals, 2, 100), [5, 5]);
        assert_eq!(take(&arrivals, 10, 94), [5]);
        assert_eq!(take(&arrivals, 10, 94), [90]);
    }

    #[test]
    fn the_end_comes_after_the_last_event() {
        let arrivals = Arrivals::new(1000);
        arrivals.push(events(&[1])).expect("open");
        arrivals.end(Ok(()));
        assert_eq!(take(&arrivals, 10, 10), [1]);
        assert_eq!(arrivals.take(10, 10, Waker::noop()), Taken::Ended(Ok(())));
    }

    #[test]
    fn trouble_is_told_once_behind_what_came_before_it() {
        let arrivals = Arrivals::new(1000);
        arrivals.push(events(&[1])).expect("open");
        arrivals.complain(PortError::retry("the line is dead"));
        assert_eq!(take(&arrivals, 10, 10), [1]);
        let trouble = Taken::Trouble(PortError::retry("the line is dead"));
        assert_eq!(arrivals.take(10, 10, Waker::noop()), trouble);
        assert_eq!(arrivals.take(10, 10, Waker::noop()), Taken::Nothing);
    }

    #[tokio::test]
    async fn a_full_queue_has_no_room_until_something_is_taken_or_it_ends() {
        let wait = |arrivals: &std::sync::Arc<Arrivals>| {
            let arrivals = std::sync::Arc::clone(arrivals);
            tokio::spawn(async move { arrivals.room().await })
        };
        let arrivals = std::sync::Arc::new(Arrivals::new(200));
        arrivals.room().await;
        arrivals.push(events(&[500])).expect("open");
        let waiting = wait(&arrivals);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(take(&arrivals, 10, 1000), [500]);
        waiting.await.expect("it goes on");
        arrivals.push(events(&[500])).expect("open");
        let waiting = wait(&arrivals);
        tokio::task::yield_now().await;
        arrivals.close();
        waiting.await.expect("it goes on");
    }
}
