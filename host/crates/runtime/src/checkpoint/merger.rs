//! Keeps lists of state files short, in the background: one thread for an attempt, one merge at a time.

use std::sync::mpsc::{Receiver, Sender};

use gristmill_checkpoint::StateFile;
use gristmill_checkpoint::coordinator::Coordinator;
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

/// What is merged next: of all lists that are worth it the longest.
pub(crate) fn most_worth_it(
    coordinator: &Coordinator,
    chooser: &dyn StateMerger,
    processing_ms: i64,
) -> Option<MergeWork> {
    let lists = coordinator.state_files();
    let worth = lists.filter_map(|(node, subtask, files)| Some((node, subtask, files, chooser.choose(files)?)));
    let (node, subtask, files, range) = worth.max_by_key(|(_, _, files, _)| files.len())?;
    Some(MergeWork {
        node: node.node.clone(),
        subtask,
        states: node.states.clone(),
        is_oldest: range.start == 0,
        neighbours: files[range].to_vec(),
        time: StateTime { processing_ms, event_ms: coordinator.watermark(&node.node, subtask).0 },
    })
}

/// Merges until nobody is left who could want something. A merge that fails is nothing lost: the files stay as they are,
/// and the next checkpoint asks again.
pub(crate) fn run(work: &Receiver<MergeWork>, merger: &dyn StateMerger, files: &dyn FileStore, told: &Sender<Told>) {
    while let Ok(MergeWork { node, subtask, states, neighbours, is_oldest, time }) = work.recv() {
        let merged = merger.merge(&states, &neighbours, is_oldest, time, files);
        fail::fail_point!("state-merged");
        if files.is_over() {
            return;
        }
        let (replaced, by) = match merged {
            Ok(by) => (neighbours, by),
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
