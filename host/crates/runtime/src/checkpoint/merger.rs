//! Keeps lists of state files short, in the background: one thread for an attempt, one merge at a time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::{StateMerger, StateTime};
use gristmill_ports::{ErrorKind, FileStore};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{NodeId, SubtaskIndex};

use crate::checkpoint::told::Told;

/// Neighbours in a list that are to become one.
pub(crate) struct MergeWork {
    pub(crate) node: NodeId,
    pub(crate) subtask: SubtaskIndex,
    pub(crate) states: Vec<StateSpec>,
    pub(crate) neighbours: Vec<StateFile>,
    pub(crate) is_oldest: bool,
    pub(crate) time: StateTime,
}

/// Merges until nobody is left who could want something. A merge that fails is nothing lost: the files stay as they are,
/// and the next checkpoint asks again.
pub(crate) fn run(
    work: &Receiver<MergeWork>,
    merger: &Arc<dyn StateMerger>,
    files: &Arc<dyn FileStore>,
    told: &Sender<Told>,
) {
    while let Ok(MergeWork { node, subtask, states, neighbours, is_oldest, time }) = work.recv() {
        let merged = merger.merge(&states, &neighbours, is_oldest, time, &**files);
        fail::fail_point!("state-merged");
        let (replaced, by) = match merged {
            Ok(by) => (neighbours.iter().map(|one| one.file).collect(), by),
            Err(error) => {
                let grave = error.kind == ErrorKind::Fatal;
                tracing::warn!(%node, %subtask, %error, grave, "files of state are not merged for now");
                (Vec::new(), None)
            }
        };
        if told.send(Told::Merged { node, subtask, replaced, by }).is_err() {
            return;
        }
    }
}
