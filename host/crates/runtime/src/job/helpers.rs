//! The threads of an attempt beside its subtasks: store, commit, merge, and carry savepoints away.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use gristmill_ports::FileStore;
use gristmill_ports::parts::Urgency;
use gristmill_types::NodeId;

use crate::checkpoint::archivist::{Archivist, SavepointWork};
use crate::checkpoint::committer::{CommitWork, SinkCommitter};
use crate::checkpoint::cut::StorerWork;
use crate::checkpoint::merger::{self, MergeWork};
use crate::checkpoint::storer::Storer;
use crate::checkpoint::told::Told;
use crate::job::shared::JobShared;

/// The ways to these threads.
pub(crate) struct Helpers {
    pub(crate) storer: Sender<StorerWork>,
    pub(crate) committers: HashMap<NodeId, Sender<CommitWork>>,
    pub(crate) merger: Sender<MergeWork>,
    pub(crate) archivist: Sender<SavepointWork>,
    threads: Vec<JoinHandle<()>>,
}

/// What they work with.
pub(crate) struct Tools {
    pub(crate) storer: Storer,
    pub(crate) storer_work: (Sender<StorerWork>, Receiver<StorerWork>),
    pub(crate) committers: HashMap<NodeId, SinkCommitter>,
    pub(crate) archivist: Archivist,
    pub(crate) files: Arc<dyn FileStore>,
    pub(crate) told: Sender<Told>,
}

impl Helpers {
    /// Starts them all. Whoever needs one that cannot be started finds its end of the channel closed.
    pub(crate) fn start(job: &Arc<JobShared>, tools: Tools) -> Self {
        let Tools { storer, storer_work, committers, archivist, files, told } = tools;
        let (merger, merge_work) = mpsc::channel();
        let (to_archivist, savepoint_work) = mpsc::channel();
        let storer_queue = storer_work.1;
        let mut helpers = Self {
            storer: storer_work.0,
            committers: HashMap::new(),
            merger,
            archivist: to_archivist,
            threads: Vec::new(),
        };
        helpers.spawn(job, "store", move || storer.run(&storer_queue));
        for (sink, committer) in committers {
            let (sender, work) = mpsc::channel();
            helpers.committers.insert(sink, sender);
            helpers.spawn(job, "commit", move || committer.run(&work));
        }
        let parts = Arc::clone(&job.parts);
        helpers.spawn(job, "merge", move || {
            parts.stand_back(Urgency::Whenever);
            merger::run(&merge_work, &*parts.state_merger(), &*files, &told);
        });
        let parts = Arc::clone(&job.parts);
        helpers.spawn(job, "savepoint", move || {
            parts.stand_back(Urgency::Soon);
            archivist.run(&savepoint_work);
        });
        helpers
    }

    /// Starts another one, which ends by itself, or with the attempt.
    pub(crate) fn spawn(&mut self, job: &JobShared, duty: &str, work: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name(format!("{}-{duty}", job.id));
        match thread.spawn(work) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => tracing::error!(job = %job.id, duty, %error, "a thread cannot be started"),
        }
    }

    /// Waits for all threads: the next attempt must not meet them at work.
    pub(crate) fn join(self) {
        let Self { storer, committers, merger, archivist, threads } = self;
        drop((storer, committers, merger, archivist));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("bug: a thread of a checkpoint panicked");
            }
        }
    }
}
