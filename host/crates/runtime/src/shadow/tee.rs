//! The queue between an operator and its shadow. The operator never waits for it: where it has no room, the shadow is over.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::Duration;

use gristmill_ports::Signal;
use gristmill_types::{EventBatch, InputIndex, PortIndex, Watermark};

/// A shadow that has nothing to do looks again after this. What waits meanwhile is memory that the operator and whoever feeds it
/// would have had back while it was in their caches: at 30 ms that costs more than twice what it does at this
/// (docs/design/0009). An operator that had to wake its shadow would pay a system call for that with each of its own calls.
const NAP: Duration = Duration::from_millis(2);

/// Naps get twice as long so often while nothing comes: a shadow of a quiet operator need not look 500 times a second.
const DOUBLINGS: u32 = 4;

/// A call of the operator that took effect.
#[derive(Debug)]
pub(crate) struct TeedCall {
    pub(crate) input: InputIndex,
    pub(crate) events: Arc<EventBatch>,
    pub(crate) watermark: Watermark,
    pub(crate) processing_time_ms: i64,
    /// What left by it.
    pub(crate) output: Vec<(PortIndex, Arc<EventBatch>)>,
    /// The rows that it refused.
    pub(crate) rejected: Vec<u32>,
    /// How long it took.
    pub(crate) took_ns: u64,
}

impl TeedCall {
    /// Bytes that are kept in memory by it; events that left as they came are counted once.
    fn bytes(&self) -> usize {
        let own = self.output.iter().filter(|(_, events)| !Arc::ptr_eq(events, &self.events));
        self.events.bytes() + own.map(|(_, events)| events.bytes()).sum::<usize>()
    }
}

/// How full a queue is.
#[derive(Debug)]
pub(crate) struct Room {
    most_calls: usize,
    most_bytes: usize,
    calls: AtomicUsize,
    bytes: AtomicUsize,
    overrun: AtomicBool,
    /// Raised when a call has no room: whatever the shadow is at, it need not go on.
    over: Signal,
}

impl Room {
    /// Whether a call had no room.
    pub(crate) fn is_overrun(&self) -> bool {
        self.overrun.load(Ordering::Acquire)
    }

    /// Calls that may wait, and their bytes.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        (self.most_calls, self.most_bytes)
    }

    /// Calls that wait, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.calls.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn take(&self, bytes: usize) -> bool {
        let (calls, waiting) = self.waiting();
        let fits = calls < self.most_calls && (calls == 0 || waiting.saturating_add(bytes) <= self.most_bytes);
        if fits {
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.overrun.store(true, Ordering::Release);
            self.over.raise();
        }
        fits
    }
}

/// The operator's end.
pub(crate) struct Tee {
    room: Arc<Room>,
    sender: Sender<(usize, TeedCall)>,
}

impl fmt::Debug for Tee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a tee with {:?}", self.room)
    }
}

impl Tee {
    /// Hands a call over. `false`: nobody follows any more, and the tee is of no use.
    pub(crate) fn offer(&self, call: TeedCall) -> bool {
        let bytes = call.bytes();
        self.room.take(bytes) && self.sender.send((bytes, call)).is_ok()
    }
}

/// What comes out of a queue.
pub(crate) enum Teed {
    Call(TeedCall),
    /// Nothing yet.
    Quiet,
    /// The operator makes no calls any more.
    End,
}

/// The shadow's end.
pub(crate) struct TeeEnd {
    room: Arc<Room>,
    receiver: Receiver<(usize, TeedCall)>,
}

impl TeeEnd {
    /// What is next.
    pub(crate) fn next(&self) -> Teed {
        match self.receiver.try_recv() {
            Ok((bytes, call)) => {
                self.room.calls.fetch_sub(1, Ordering::Relaxed);
                self.room.bytes.fetch_sub(bytes, Ordering::Relaxed);
                Teed::Call(call)
            }
            Err(TryRecvError::Empty) => Teed::Quiet,
            Err(TryRecvError::Disconnected) => Teed::End,
        }
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }
}

/// How long to wait for calls after so many looks in a row were in vain.
pub(crate) fn nap_after(looks: u32) -> Duration {
    NAP * 2_u32.pow(looks.saturating_sub(1).min(DOUBLINGS))
}

/// A queue in which at most so many calls wait, with so many bytes; one call always has room. `over` is raised when one has
/// none.
pub(crate) fn tee((most_calls, most_bytes): (usize, usize), over: &Signal) -> (Tee, TeeEnd) {
    let (calls, bytes, overrun) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let (most_calls, over) = (most_calls.max(1), over.clone());
    let room = Arc::new(Room { most_calls, most_bytes, calls, bytes, overrun, over });
    let (sender, receiver) = mpsc::channel();
    (Tee { room: Arc::clone(&room), sender }, TeeEnd { room, receiver })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(values: &[&str]) -> TeedCall {
        let mut events = EventBatch::default();
        values.iter().for_each(|value| events.push(0, None, Some(value.as_bytes())));
        let events = Arc::new(events);
        TeedCall {
            input: InputIndex(0),
            output: vec![(PortIndex(0), Arc::clone(&events))],
            events,
            watermark: Watermark::START,
            processing_time_ms: 0,
            rejected: Vec::new(),
            took_ns: 0,
        }
    }

    fn next(end: &TeeEnd) -> Option<usize> {
        match end.next() {
            Teed::Call(call) => Some(call.events.len()),
            Teed::Quiet | Teed::End => None,
        }
    }

    #[test]
    fn calls_come_out_in_their_order_until_the_operator_ends() {
        let (tee, end) = tee((10, 1000), &Signal::default());
        assert!(tee.offer(call(&["a"])) && tee.offer(call(&["b", "c"])));
        assert_eq!(end.room().waiting().0, 2);
        drop(tee);
        assert_eq!((next(&end), next(&end)), (Some(1), Some(2)));
        assert!(matches!(end.next(), Teed::End));
        assert_eq!(end.room().waiting(), (0, 0));
    }

    #[test]
    fn a_queue_without_room_takes_nothing_more_and_says_so() {
        for (most_calls, most_bytes) in [(1, 1000), (10, 30)] {
            let over = Signal::default();
            let (tee, end) = tee((most_calls, most_bytes), &over);
            assert!(tee.offer(call(&["a"])) && !over.is_raised(), "one always has room");
            assert!(!tee.offer(call(&["a long value, too long for the rest"])));
            assert!(over.is_raised() && end.room().is_overrun(), "{most_calls} {most_bytes}");
        }
    }

    #[test]
    fn whoever_looks_in_vain_looks_less_often_but_never_rarely() {
        let naps = [1, 2, 3, 4, 5, 6, u32::MAX].map(|looks| nap_after(looks).as_millis());
        assert_eq!(naps, [2, 4, 8, 16, 32, 32, 32]);
    }

    #[test]
    fn events_that_left_as_they_came_are_counted_once() {
        let one = call(&["abcd"]);
        assert_eq!(one.bytes(), one.events.bytes());
    }

    #[test]
    fn nobody_is_told_once_nobody_follows() {
        let (tee, end) = tee((10, 1000), &Signal::default());
        drop(end);
        assert!(!tee.offer(call(&["a"])));
    }
}
