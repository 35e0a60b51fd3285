//! Makes decided output visible: a thread for each transactional sink, so that none waits for another's server.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use gristmill_checkpoint::{CommitPermit, Committable};
use gristmill_ports::{Clock, Committer, Signal};
use gristmill_types::{AttemptId, NodeId};

use crate::checkpoint::patience::{Undone, until_done};
use crate::checkpoint::told::Told;
use crate::counters::NodeCounters;
use crate::ending::TaskEnd;
use crate::event::{EventLog, JobEventKind};

/// What is to be committed, in order.
pub(crate) type CommitWork = (CommitPermit, Vec<Committable>);

/// The thread of one sink.
pub(crate) struct SinkCommitter {
    pub(crate) sink: NodeId,
    pub(crate) committer: Box<dyn Committer>,
    pub(crate) counters: Arc<NodeCounters>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) told: Sender<Told>,
    pub(crate) over: Signal,
    pub(crate) clock: Arc<dyn Clock>,
}

impl SinkCommitter {
    /// Commits until nobody is left who could want something, or the attempt is over.
    pub(crate) fn run(mut self, work: &Receiver<CommitWork>) {
        while let Ok((permit, committables)) = work.recv() {
            for committable in committables {
                match self.commit(&permit, &committable) {
                    Ok(()) => {
                        let _ = self.told.send(Told::Committed(vec![committable.id]));
                    }
                    Err(Undone::Over) => return,
                    Err(Undone::Refused(why)) => {
                        let cause = format!("sink `{}` cannot commit what it staged: {why}", self.sink);
                        let _ = self.told.send(Told::Failed(TaskEnd::lasting(cause)));
                        return;
                    }
                }
            }
        }
    }

    /// Makes one visible, trying until it is.
    pub(crate) fn commit(&mut self, permit: &CommitPermit, committable: &Committable) -> Result<(), Undone> {
        fail::fail_point!("commit-begins");
        let Self { committer, counters, events, sink, clock, .. } = self;
        let mut tried_again = false;
        until_done(
            &self.over,
            || committer.commit(permit, committable),
            |error| {
                tried_again = true;
                counters.note_retry(error, clock.now_ms());
                events.say(Some(sink), None, JobEventKind::Retrying { message: error.to_owned() });
            },
        )?;
        if tried_again {
            counters.note_going_on();
        }
        fail::fail_point!("commit-done");
        Ok(())
    }

    /// Throws away what earlier attempts staged and what was never decided.
    pub(crate) fn abort_all_but(&mut self, decided: &[Committable], earlier: &[AttemptId]) -> Result<(), Undone> {
        let committer = &mut self.committer;
        until_done(
            &self.over,
            || committer.abort_all_but(decided, earlier),
            |error| {
                tracing::warn!(sink = %self.sink, error, "what was staged in vain is still there; trying again");
            },
        )
    }
}
