//! The queue between an operator and its shadow. The operator never waits for it: where it has no room, the shadow is over.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use gristmill_ports::Signal;
use gristmill_types::{EventBatch, InputIndex, PortIndex, Watermark};

/// So often it is looked whether calls have gathered.
const NAP: Duration = Duration::from_millis(5);

/// Calls have gathered where this part of the room is taken.
const FULL: usize = 8;

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
    /// Waits until some calls have gathered, or so long at most, or `is_over`: whoever works through many at once pushes the
    /// operator out of the caches of its core less often than whoever takes each as it comes. It looks again and again: an
    /// operator that had to wake its shadow would pay a system call for that with each of its own calls.
    pub(crate) fn gather(&self, at_most: Duration, is_over: impl Fn() -> bool) {
        let since = Instant::now();
        let Room { most_calls, most_bytes, .. } = *self.room;
        let (calls_gathered, bytes_gathered) = ((most_calls / FULL).max(1), (most_bytes / FULL).max(1));
        let are_some = |(calls, bytes): (usize, usize)| calls >= calls_gathered || bytes >= bytes_gathered;
        while since.elapsed() < at_most && !are_some(self.room.waiting()) && !is_over() {
            std::thread::sleep(NAP);
        }
    }

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
    fn waiting_for_calls_ends_once_some_have_gathered_or_nobody_wants_them() {
        let (for_ever, signal) = (Duration::from_secs(3600), Signal::default());
        let (tee, end) = tee((16, 1 << 20), &signal);
        assert!(tee.offer(call(&["a"])));
        end.gather(for_ever, || true);
        end.gather(Duration::ZERO, || false);
        assert!(tee.offer(call(&["b"])));
        end.gather(for_ever, || false);
        assert_eq!(end.room().waiting().0, 2);
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
