//! The one place where a subtask hears anything: elements from its channels, and control.
//!
//! Each channel has credit of its own in bytes; an empty channel admits a batch of any size, and everything but batches
//! is exempt from credit. A byte pool shared between channels would deadlock the alignment of barriers: the channel
//! that still owes its barrier could find the pool used up by those that wait for it.
//!
//! Barriers are aligned here: a channel that delivered its barrier is not read until all others have; then the barrier
//! is heard once.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::time::{Duration, Instant};

use gristmill_types::{CheckpointBarrier, EventBatch, InputIndex, StreamElement};

use crate::control::Control;
use crate::exchange::channel::Channel;
use crate::exchange::heard::{Closed, GatherBounds, Heard};

/// The inbox of one subtask. Heard by one thread, fed by many.
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Wakes the subtask.
    news: Condvar,
    /// Wakes senders that wait for room.
    room: Condvar,
}

#[derive(Default)]
struct State {
    channels: Vec<Channel>,
    /// Bounded by whoever asks: one REST request puts one entry.
    control: VecDeque<Control>,
    /// Set by the waker of a source reader.
    woken: bool,
    /// The subtask has come to the end of its input: it takes nothing in any more, and hears of checkpoints only.
    left: bool,
    closed: bool,
    /// Where the round over the channels goes on, so that none starves.
    turn: usize,
    listening: bool,
    waiting_senders: usize,
    /// When the first channel delivered the barrier that others still owe.
    aligning_since: Option<Instant>,
}

impl Inbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), news: Condvar::new(), room: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a channel that leads to an input. Before the job runs.
    pub(crate) fn add_channel(self: &Arc<Self>, input: InputIndex, credit_bytes: usize) -> ChannelSender {
        let mut state = self.lock();
        state.channels.push(Channel::new(input, credit_bytes));
        ChannelSender { inbox: Arc::clone(self), channel: state.channels.len() - 1 }
    }

    pub(crate) fn channels(&self) -> usize {
        self.lock().channels.len()
    }

    /// Tells the subtask something, if it still listens.
    pub(crate) fn tell(&self, control: Control) {
        let mut state = self.lock();
        if !state.closed && (!state.left || control.is_for_those_who_left()) {
            state.control.push_back(control);
            self.news.notify_one();
        }
    }

    /// Tells several subtasks something each, in order. All of them or, if one of them does not listen any more, none:
    /// then the error is the place of that one.
    pub(crate) fn tell_all(told: Vec<(&Self, Control)>) -> Result<(), usize> {
        let mut inboxes: Vec<&Self> = told.iter().map(|(inbox, _)| *inbox).collect();
        inboxes.sort_unstable_by_key(|inbox| std::ptr::from_ref(*inbox));
        inboxes.dedup_by_key(|inbox| std::ptr::from_ref(*inbox));
        // Nobody else ever holds two of these locks, and all who do take them in one order.
        let mut states: Vec<_> = inboxes.iter().map(|inbox| inbox.lock()).collect();
        let at = |inbox: &Self| {
            let of = |other: &&Self| std::ptr::from_ref(*other);
            inboxes.binary_search_by_key(&std::ptr::from_ref(inbox), of).expect("the list was made of these inboxes")
        };
        if let Some(place) = told.iter().position(|(inbox, _)| states[at(inbox)].is_deaf()) {
            return Err(place);
        }
        for (inbox, control) in told {
            states[at(inbox)].control.push_back(control);
        }
        drop(states);
        inboxes.iter().for_each(|inbox| inbox.news.notify_one());
        Ok(())
    }

    /// The subtask has come to the end of its input: what it was told and has not heard yet, or, if there is nothing
    /// but what concerns those who left, the door is shut to all else.
    pub(crate) fn leave(&self) -> Result<Option<Control>, Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        let next = state.control.iter().position(|control| !control.is_for_those_who_left());
        state.left = next.is_none();
        Ok(next.and_then(|next| state.control.remove(next)))
    }

    /// Ends all hearing and sending, now and for ever. What is inside is dropped: handles of a job that is over keep
    /// its inboxes.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.control.clear();
        state.channels.iter_mut().for_each(Channel::clear);
        drop(state);
        self.news.notify_all();
        self.room.notify_all();
    }

    /// What there is to hear, waiting at most `patience` for it. `None` waits without end.
    pub(crate) fn hear(&self, bounds: GatherBounds, patience: Option<Duration>) -> Heard {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut state = self.lock();
        loop {
            if let Some(heard) = state.next() {
                let Heard::Batch(input, first) = heard else { return heard };
                return self.gather(state, input, first, bounds);
            }
            match self.wait(state, deadline) {
                Ok(again) => state = again,
                Err(Quiet) => return Heard::Quiet,
            }
        }
    }

    /// Only control, or `None` if there is none; for sources between two batches.
    pub(crate) fn control(&self) -> Result<Option<Control>, Closed> {
        let mut state = self.lock();
        if state.closed { Err(Closed) } else { Ok(state.control.pop_front()) }
    }

    /// Waits until there is control, the waker was called, or time is up. Channels are not heard.
    pub(crate) fn sleep(&self, patience: Option<Duration>) -> Result<(), Closed> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(Closed);
            }
            if std::mem::take(&mut state.woken) || !state.control.is_empty() {
                return Ok(());
            }
            match self.wait(state, deadline) {
                Ok(again) => state = again,
                Err(Quiet) => return Ok(()),
            }
        }
    }

    /// Waits for the whole time, whatever happens, unless the job ends: for backoffs.
    pub(crate) fn rest(&self, time: Duration) -> Result<(), Closed> {
        let deadline = Some(Instant::now() + time);
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(Closed);
            }
            match self.wait(state, deadline) {
                Ok(again) => state = again,
                Err(Quiet) => return Ok(()),
            }
        }
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> Result<MutexGuard<'a, State>, Quiet> {
        state.listening = true;
        let mut state = match deadline {
            None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    state.listening = false;
                    return Err(Quiet);
                }
                self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.listening = false;
        Ok(state)
    }

    /// Brings together small batches that follow each other in the channel just read.
    fn gather(
        &self,
        mut state: MutexGuard<'_, State>,
        input: InputIndex,
        first: Arc<EventBatch>,
        bounds: GatherBounds,
    ) -> Heard {
        let channel = state.turn;
        let (mut rows, mut bytes) = (first.len(), first.bytes());
        let mut batches = vec![first];
        let deadline = Instant::now().checked_add(bounds.delay).filter(|_| !bounds.delay.is_zero());
        while rows < bounds.rows && bytes < bounds.bytes {
            if let Some(batch) = state.channels[channel].pop_small_batch(bounds.rows - rows, bounds.bytes - bytes) {
                rows += batch.len();
                bytes += batch.bytes();
                batches.push(batch);
                continue;
            }
            let worth_waiting =
                state.control.is_empty() && !state.closed && !state.channels.iter().any(Channel::has_news);
            let Some(deadline) = deadline.filter(|_| worth_waiting) else { break };
            self.make_room(&state);
            match self.wait(state, Some(deadline)) {
                Ok(again) => state = again,
                Err(Quiet) => return Heard::Batch(input, joined(batches)),
            }
        }
        self.make_room(&state);
        drop(state);
        Heard::Batch(input, joined(batches))
    }

    fn make_room(&self, state: &State) {
        if state.waiting_senders > 0 {
            self.room.notify_all();
        }
    }
}

/// Time is up.
struct Quiet;

fn joined(mut batches: Vec<Arc<EventBatch>>) -> Arc<EventBatch> {
    if batches.len() == 1 {
        return batches.swap_remove(0);
    }
    let mut all = EventBatch::default();
    batches.iter().for_each(|batch| all.append(batch));
    Arc::new(all)
}

impl State {
    fn is_deaf(&self) -> bool {
        self.left || self.closed
    }

    /// The next thing to hear: control first, then the channels in turn.
    fn next(&mut self) -> Option<Heard> {
        if self.closed {
            return Some(Heard::Closed);
        }
        if let Some(control) = self.control.pop_front() {
            return Some(Heard::Control(control));
        }
        if let Some(barrier) = self.aligned_barrier() {
            let aligned = self.aligning_since.take().map(|since| since.elapsed()).unwrap_or_default();
            return Some(Heard::Barrier(barrier, aligned));
        }
        let channels = self.channels.len();
        for step in 1..=channels {
            let at = (self.turn + step) % channels;
            let Some(element) = self.channels[at].pop() else { continue };
            self.turn = at;
            match element {
                StreamElement::Batch(batch) => return Some(Heard::Batch(self.channels[at].input, batch)),
                StreamElement::Watermark(watermark) => return Some(Heard::Watermark(at, watermark)),
                StreamElement::Idle => return Some(Heard::Idle(at)),
                StreamElement::EndOfInput => return Some(Heard::End),
                StreamElement::Barrier(barrier) => {
                    self.channels[at].aligned = Some(barrier);
                    self.aligning_since.get_or_insert_with(Instant::now);
                    // It may complete a cut, or open channels that waited for an older one.
                    return self.next();
                }
            }
        }
        None
    }

    /// The barrier that all channels have delivered; those that ended deliver barriers too. Opens them again.
    ///
    /// A channel that delivered an older one is opened too: some source was never told of that checkpoint, or gave it
    /// up, so it cannot be completed any more.
    fn aligned_barrier(&mut self) -> Option<CheckpointBarrier> {
        let barrier = self.channels.iter().filter_map(|channel| channel.aligned).max_by_key(|one| one.checkpoint)?;
        for channel in &mut self.channels {
            channel.aligned = channel.aligned.filter(|one| one.checkpoint == barrier.checkpoint);
        }
        if self.channels.iter().all(|channel| channel.aligned.is_some()) {
            self.channels.iter_mut().for_each(|channel| channel.aligned = None);
            return Some(barrier);
        }
        None
    }
}

impl Wake for Inbox {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.lock().woken = true;
        self.news.notify_one();
    }
}

/// The sending end of one channel.
pub(crate) struct ChannelSender {
    inbox: Arc<Inbox>,
    channel: usize,
}

impl ChannelSender {
    /// Sends an element, waiting for room. Returns how long it waited.
    ///
    /// # Errors
    /// [`Closed`] once the job is over.
    pub(crate) fn send(&self, element: StreamElement) -> Result<Duration, Closed> {
        let bytes = element.bytes();
        let mut state = self.inbox.lock();
        let mut waited = Duration::ZERO;
        if !state.closed && !state.channels[self.channel].has_room(bytes) {
            let since = Instant::now();
            state.waiting_senders += 1;
            while !state.closed && !state.channels[self.channel].has_room(bytes) {
                state = self.inbox.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.waiting_senders -= 1;
            waited = since.elapsed();
        }
        if state.closed {
            return Err(Closed);
        }
        state.channels[self.channel].push(element);
        let listening = state.listening;
        drop(state);
        if listening {
            self.inbox.news.notify_one();
        }
        Ok(waited)
    }
}

#[cfg(test)]
mod tests;
