//! One attempt of a job, as its threads and handles see it.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use gristmill_ports::{FileStore, Signal};
use gristmill_types::AttemptId;

use crate::checkpoint::told::Told;
use crate::control::Control;
use crate::ending::TaskEnd;
use crate::exchange::inbox::Inbox;

/// What all of an attempt share.
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    /// The files of its run.
    pub(crate) files: Arc<dyn FileStore>,
    /// For each task, the inbox of each of its subtasks.
    pub(crate) inboxes: Vec<Vec<Arc<Inbox>>>,
    /// Tasks whose head is a source.
    pub(crate) sources: Vec<usize>,
    /// What operators look at within their calls.
    pub(crate) interrupt: Signal,
    /// The attempt is over: nothing is waited for any more.
    pub(crate) over: Signal,
    /// The supervisor.
    pub(crate) told: Sender<Told>,
}

impl Attempt {
    /// Ends all waiting and all calls; subtasks leave at their next look at their inbox.
    pub(crate) fn close(&self) {
        self.over.raise();
        self.inboxes.iter().flatten().for_each(|inbox| inbox.close());
        // Last: whose call is ended by it finds the inbox closed, and does not take the end for a fault of the guest.
        self.interrupt.raise();
    }

    /// A subtask is about to end. The first failure ends the attempt.
    pub(crate) fn left(&self, result: Result<(), TaskEnd>) {
        if let Err(TaskEnd::Failed(_)) = &result {
            self.close();
        }
        let _ = self.told.send(Told::Left(result));
    }

    /// Tells all subtasks of all sources.
    pub(crate) fn tell_sources(&self, control: impl Fn() -> Control) {
        for task in &self.sources {
            self.inboxes[*task].iter().for_each(|inbox| inbox.tell(control()));
        }
    }

    /// Tells every subtask.
    pub(crate) fn tell_all(&self, control: impl Fn() -> Control) {
        self.inboxes.iter().flatten().for_each(|inbox| inbox.tell(control()));
    }
}
