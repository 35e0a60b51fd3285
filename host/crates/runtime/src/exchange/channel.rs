//! One channel: a queue in order, with credit of its own in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use gristmill_types::{CheckpointBarrier, EventBatch, InputIndex, StreamElement};

/// One channel of an inbox.
pub(crate) struct Channel {
    /// Which input it leads to.
    pub(crate) input: InputIndex,
    queue: VecDeque<StreamElement>,
    bytes: usize,
    credit_bytes: usize,
    /// Has delivered the barrier that others still owe.
    pub(crate) aligned: Option<CheckpointBarrier>,
}

impl Channel {
    pub(crate) fn new(input: InputIndex, credit_bytes: usize) -> Self {
        Self { input, queue: VecDeque::new(), bytes: 0, credit_bytes, aligned: None }
    }

    /// Puts an element behind all others. What it says of event time replaces what was last said and not heard yet:
    /// such elements cost no credit, and a receiver that is busy must not find a pile of them.
    pub(crate) fn push(&mut self, element: StreamElement) {
        match element {
            StreamElement::Watermark(_) => {
                while matches!(self.queue.back(), Some(StreamElement::Watermark(_) | StreamElement::Idle)) {
                    self.queue.pop_back();
                }
            }
            StreamElement::Idle if matches!(self.queue.back(), Some(StreamElement::Idle)) => return,
            StreamElement::Batch(_) | StreamElement::Barrier(_) | StreamElement::Idle | StreamElement::EndOfInput => {}
        }
        self.bytes += element.bytes();
        self.queue.push_back(element);
    }

    /// Whether there is something that may be heard now.
    pub(crate) fn has_news(&self) -> bool {
        self.aligned.is_none() && !self.queue.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<StreamElement> {
        if self.aligned.is_some() {
            return None;
        }
        let element = self.queue.pop_front()?;
        self.bytes -= element.bytes();
        Some(element)
    }

    pub(crate) fn pop_small_batch(&mut self, rows: usize, bytes: usize) -> Option<Arc<EventBatch>> {
        match self.queue.front() {
            Some(StreamElement::Batch(batch)) if batch.len() <= rows && batch.bytes() <= bytes => {}
            _ => return None,
        }
        match self.pop() {
            Some(StreamElement::Batch(batch)) => Some(batch),
            _ => None,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.bytes = 0;
    }

    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        bytes == 0 || self.bytes == 0 || self.bytes + bytes <= self.credit_bytes
    }
}
