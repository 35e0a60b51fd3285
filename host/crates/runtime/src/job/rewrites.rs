//! State of another schema is rewritten in the background: keys are read from the files of a checkpoint, and page by page sent to
//! the subtasks that have them, which rewrite what is still there. Entries only ever leave the other schema, so the keys of
//! any checkpoint since then are all that can be left.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::{StateEntry, StateReader};
use gristmill_ports::{FileStore, PortError, Signal};
use gristmill_types::{EventBatch, NodeId, StateIndex};

use crate::checkpoint::told::{RewriteTold, Told};
use crate::control::Control;
use crate::exchange::inbox::Inbox;
use crate::states::PAGE_KEYS;
use crate::swap::{PageRewritten, Rewritten, SwapControl};

/// So often it is looked whether the attempt is over, while a subtask is at work.
const LOOK: Duration = Duration::from_millis(50);

/// Where all keys are that have something to be moved.
pub(crate) struct Left {
    /// Of each subtask, files of state, oldest first.
    pub(crate) files: Vec<Vec<StateFile>>,
    /// The states, by the places that these files name.
    pub(crate) from: Vec<StateIndex>,
}

/// The rewriting of one operator's states.
pub(crate) struct RewriteWork {
    pub(crate) node: NodeId,
    /// The place of the operator in its chain.
    pub(crate) place: usize,
    /// Of each subtask: its inbox, and files with all keys that can be left.
    pub(crate) subtasks: Vec<(Arc<Inbox>, Vec<StateFile>)>,
    /// The states that these files have them in.
    pub(crate) from: Vec<StateIndex>,
    pub(crate) reader: Arc<dyn StateReader>,
    pub(crate) files: Arc<dyn FileStore>,
    pub(crate) told: Sender<Told>,
    /// The attempt is over.
    pub(crate) over: Signal,
    /// This work is of no use any more.
    pub(crate) unwanted: Signal,
    /// Tells what is said of it from what is said of work before.
    pub(crate) number: u64,
}

/// Why it ends early.
enum Stopped {
    Over,
    Unreadable(PortError),
}

impl From<PortError> for Stopped {
    fn from(error: PortError) -> Self {
        Self::Unreadable(error)
    }
}

impl RewriteWork {
    /// Works until all keys were looked through, or the attempt is over.
    pub(crate) fn run(self) {
        let all = self.subtasks.iter().try_for_each(|(inbox, files)| self.subtask(inbox, files));
        let over = match all {
            Ok(()) => Ok(()),
            Err(Stopped::Over) => return,
            Err(Stopped::Unreadable(error)) => Err(error.message),
        };
        self.tell(RewriteTold::Over(over));
    }

    fn tell(&self, told: RewriteTold) {
        let _ = self.told.send(Told::Rewrite { node: self.node.clone(), work: self.number, told });
    }

    fn is_over(&self) -> bool {
        self.over.is_raised() || self.unwanted.is_raised()
    }

    fn subtask(&self, inbox: &Inbox, files: &[StateFile]) -> Result<(), Stopped> {
        let (mut keys, mut last) = (EventBatch::default(), None::<Vec<u8>>);
        for entry in self.reader.entries(files, &*self.files)? {
            if self.is_over() {
                return Err(Stopped::Over);
            }
            let StateEntry { state, key, .. } = entry?;
            let is_left = self.from.iter().any(|from| from.0 == state);
            if !is_left || last.as_ref() == Some(&key) {
                continue;
            }
            keys.push(0, Some(&key), None);
            last = Some(key);
            if keys.len() >= PAGE_KEYS {
                self.page(inbox, std::mem::take(&mut keys))?;
            }
        }
        if keys.is_empty() { Ok(()) } else { self.page(inbox, keys) }
    }

    fn page(&self, inbox: &Inbox, keys: EventBatch) -> Result<(), Stopped> {
        let (done, receipt) = channel();
        let keys = keys.hashed();
        inbox.tell(Control::Swap(SwapControl::Rewrite { node: self.place, keys, done }));
        let page = self.wait(&receipt)?;
        self.tell(RewriteTold::Page(page));
        Ok(())
    }

    fn wait(&self, receipt: &mpsc::Receiver<PageRewritten>) -> Result<PageRewritten, Stopped> {
        loop {
            match receipt.recv_timeout(LOOK) {
                Ok(page) => return Ok(page),
                Err(RecvTimeoutError::Disconnected) => return Err(Stopped::Over),
                Err(RecvTimeoutError::Timeout) if self.is_over() => return Err(Stopped::Over),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Rewritten {
    /// Counts a page.
    pub(crate) fn add(&mut self, page: PageRewritten) {
        self.keys += page.keys;
        self.failed += page.failed;
        if self.first_failure.is_none() {
            self.first_failure = page.first_failure;
        }
    }
}
