//! A live sample of what leaves a port. Costs one relaxed load a batch while nobody looks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use gristmill_types::{EventBatch, PortIndex, SubtaskIndex};
use tokio::sync::mpsc;

/// Events sampled from each batch: a look, not a copy of the stream.
const SAMPLED_OF_BATCH: usize = 8;
/// Events that wait for a slow watcher before more are dropped.
const WAITING: usize = 256;

/// One sampled event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapEvent {
    /// Which subtask sent it.
    pub subtask: SubtaskIndex,
    /// Through which port.
    pub port: PortIndex,
    /// Its event time, milliseconds since the epoch.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// The taps of one node.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    armed: AtomicBool,
    watchers: Mutex<Vec<(PortIndex, mpsc::Sender<TapEvent>)>>,
}

impl Tap {
    pub(crate) fn watch(&self, port: PortIndex) -> mpsc::Receiver<TapEvent> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push((port, sender));
        self.armed.store(true, Ordering::Relaxed);
        receiver
    }

    #[inline]
    pub(crate) fn sample(&self, subtask: SubtaskIndex, port: PortIndex, batch: &EventBatch) {
        if self.armed.load(Ordering::Relaxed) {
            self.send(subtask, port, batch);
        }
    }

    #[cold]
    fn send(&self, subtask: SubtaskIndex, port: PortIndex, batch: &EventBatch) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|(_, sender)| !sender.is_closed());
        self.armed.store(!watchers.is_empty(), Ordering::Relaxed);
        for (_, sender) in watchers.iter().filter(|(watched, _)| *watched == port) {
            for row in 0..batch.len().min(SAMPLED_OF_BATCH) {
                let event = TapEvent {
                    subtask,
                    port,
                    timestamp: batch.timestamps()[row],
                    key: batch.keys().get(row).map(<[u8]>::to_vec),
                    value: batch.values().get(row).map(<[u8]>::to_vec),
                };
                // A full watcher misses events; the stream does not wait for it.
                let _ = sender.try_send(event);
            }
        }
    }
}
