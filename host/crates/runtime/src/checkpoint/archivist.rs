//! Carries decided checkpoints into savepoints, one after the other, behind the stream: the subtasks of each by as many threads
//! as there are cores.
//!
//! The checkpoint's files are pinned meanwhile, and the stream knows nothing of it. What is left behind by an attempt that
//! ended in the middle has no record, so it is no savepoint; whoever takes one of that name next writes over it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use gristmill_checkpoint::savepoint::Tail;
use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_checkpoint::{FileRef, Manifest, NodeSnapshot, Savepoint, SavepointFolder, SplitPosition, StateFile};
use gristmill_dataflow::document::SourceSpec;
use gristmill_ports::checkpoint_store::{Content, PutNew};
use gristmill_ports::state::StateTime;
use gristmill_ports::{FileStore, Parts, PortError, Signal};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{AttemptId, JobId, NodeId, RunId};

use crate::checkpoint::patience::{Undone, until_done};
use crate::checkpoint::told::{Carried, Told};
use crate::written::WrittenJob;

/// What is to be done about a savepoint.
pub(crate) enum SavepointWork {
    /// A checkpoint is decided that is to become one: its files are carried over.
    Carry { name: String, manifest: Box<Manifest>, document: WrittenJob },
    /// All that was cut before it is committed: it is complete.
    Seal(Box<Carried>),
}

/// What an archivist works with.
pub(crate) struct Archivist {
    pub(crate) job: JobId,
    pub(crate) run: RunId,
    pub(crate) attempt: AttemptId,
    pub(crate) sources: Vec<(NodeId, SourceSpec)>,
    pub(crate) parts: Arc<dyn Parts>,
    pub(crate) files: Arc<dyn FileStore>,
    pub(crate) told: Sender<Told>,
    pub(crate) over: Signal,
}

impl Archivist {
    /// Works until nobody is left who could want something, or the attempt is over.
    pub(crate) fn run(&self, work: &Receiver<SavepointWork>) {
        while let Ok(work) = work.recv() {
            let told = match work {
                SavepointWork::Carry { name, manifest, document } => {
                    let checkpoint = manifest.checkpoint;
                    let carried = self.until_done(&name, || self.carry(&name, &manifest, &document));
                    carried.map(|carried| Told::Carried { checkpoint, carried: carried.map(Box::new) })
                }
                SavepointWork::Seal(carried) => {
                    let checkpoint = carried.savepoint.checkpoint;
                    let sealed = self.until_done(&carried.name, || self.seal(&carried));
                    sealed.map(|sealed| Told::Sealed { checkpoint, sealed: sealed.map(|()| carried.savepoint) })
                }
            };
            let Some(told) = told else { return };
            let _ = self.told.send(told);
        }
    }

    /// `None` once the attempt is over; `Err` if it is refused for good.
    fn until_done<T>(&self, name: &str, act: impl FnMut() -> Result<T, PortError>) -> Option<Result<T, String>> {
        let done = until_done(&self.over, act, |error| {
            tracing::warn!(job = %self.job, savepoint = name, error, "storing a savepoint is tried again");
        });
        match done {
            Ok(done) => Some(Ok(done)),
            Err(Undone::Refused(why)) => Some(Err(why)),
            Err(Undone::Over) => None,
        }
    }

    fn carry(&self, name: &str, manifest: &Manifest, document: &WrittenJob) -> Result<Carried, PortError> {
        let folder = SavepointFolder::new(&self.job, name);
        if self.parts.checkpoint_store().get(&folder.record())?.is_some() {
            return Err(self.name_is_taken(name));
        }
        let to = self.parts.savepoint_files(&folder, self.attempt)?;
        let way = Carrying { from: &*self.files, to: &*to };
        let (mut nodes, mut entries) = (Vec::with_capacity(manifest.pages.len()), BTreeMap::new());
        for page in &manifest.pages {
            let bytes = read(&self.files.open(&page.file)?)?;
            let mut snapshot = NodeSnapshot::decode(&bytes)
                .map_err(|why| PortError::fatal(format!("the page of `{}`: {why}", page.node)))?;
            let counts = self.carry_states(&mut snapshot, &way)?;
            if !snapshot.states.is_empty() {
                entries.insert(snapshot.node.clone(), counts);
            }
            nodes.push(snapshot);
        }
        let tails = self.tails(&nodes, &*to)?;
        // Each attempt has one of its own.
        let _ = std::fs::remove_dir_all(to.scratch());
        fail::fail_point!("savepoint-carried");
        let savepoint = Savepoint {
            job: self.job.clone(),
            run: self.run,
            attempt: self.attempt,
            checkpoint: manifest.checkpoint,
            taken_ms: manifest.started_ms,
            document: document.with(nodes.iter().filter_map(|page| Some((&page.node, page.module?)))),
            max_parallelism: manifest.max_parallelism,
            nodes,
            entries: Some(entries),
            tails,
        };
        Ok(Carried { name: name.to_owned(), savepoint })
    }

    /// What sources have taken in that nobody had read at the barrier. The checkpoint under way keeps it where it is.
    fn tails(&self, nodes: &[NodeSnapshot], to: &dyn FileStore) -> Result<Vec<Tail>, PortError> {
        let mut tails = Vec::new();
        for (source, spec) in &self.sources {
            let page = nodes.iter().find(|page| page.node == *source);
            let stands: Vec<_> = page.iter().flat_map(|page| &page.subtasks).flat_map(|part| &part.splits).collect();
            let stands: Vec<SplitPosition> = stands.into_iter().cloned().collect();
            if let Some(tail) = self.parts.tail(&self.job, self.run, source, spec, &stands, to)? {
                tails.push(Tail { source: source.clone(), file: tail.file, events: tail.events });
            }
        }
        Ok(tails)
    }

    /// Of each subtask, one file in the place of its list; gives how many entries there are of each state. As many at a time as
    /// there are cores: somebody waits, and the stream is in front of all of them.
    fn carry_states(&self, snapshot: &mut NodeSnapshot, way: &Carrying<'_>) -> Result<Vec<u64>, PortError> {
        let NodeSnapshot { node, states, subtasks, .. } = snapshot;
        let states = &*states;
        let at_once = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let each = subtasks.len().div_ceil(at_once).max(1);
        let carried: Vec<Result<Vec<u64>, PortError>> = std::thread::scope(|scope| {
            let some = |parts: &mut [SubtaskSnapshot]| {
                let counts = parts.iter_mut().map(|part| self.carry_state(node, states, part, way));
                counts.collect::<Result<Vec<_>, _>>().map(|counts| sums(states.len(), &counts))
            };
            let working: Vec<_> = subtasks.chunks_mut(each).map(|parts| scope.spawn(move || some(parts))).collect();
            let done =
                working.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            done.collect()
        });
        let carried = carried.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(sums(states.len(), &carried))
    }

    /// What is counted is read back as it was stored, so it can be restored.
    fn carry_state(
        &self,
        node: &NodeId,
        states: &[StateSpec],
        part: &mut SubtaskSnapshot,
        way: &Carrying<'_>,
    ) -> Result<Vec<u64>, PortError> {
        let time = StateTime { processing_ms: self.parts.clock().now_ms(), event_ms: part.watermark.0 };
        let files = std::mem::take(&mut part.files);
        let merged: Option<StateFile> = match &files[..] {
            [] => None,
            list => self.parts.state_merger().merge(states, list, true, time, way)?,
        };
        part.files.extend(merged);
        let counts = self.parts.state_reader().count(states.len(), &part.files, way.to)?;
        let (read, written) = (counts.iter().sum::<u64>(), merged.map_or(0, |file| file.entries));
        if read == written {
            return Ok(counts);
        }
        Err(PortError::retry(format!("`{node}` has {read} entries of {written} that were written")))
    }

    fn seal(&self, Carried { name, savepoint }: &Carried) -> Result<(), PortError> {
        let (store, folder) = (self.parts.checkpoint_store(), SavepointFolder::new(&self.job, name));
        let record = savepoint.encode();
        let put = store.put_new(&folder.record(), &record)?;
        fail::fail_point!("savepoint-sealed");
        match put {
            PutNew::Created => Ok(()),
            // The answer to an earlier try may have been lost.
            PutNew::Exists if store.get(&folder.record())? == Some(record) => Ok(()),
            PutNew::Exists => Err(self.name_is_taken(name)),
        }
    }

    fn name_is_taken(&self, name: &str) -> PortError {
        let job = &self.job;
        PortError::fatal(format!("there is a savepoint `{name}` of job `{job}` already; give this one another name"))
    }
}

/// Reads files of a run, writes files of a savepoint.
struct Carrying<'a> {
    from: &'a dyn FileStore,
    to: &'a dyn FileStore,
}

impl FileStore for Carrying<'_> {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        self.to.put(content)
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        self.from.open(file)
    }

    fn scratch(&self) -> &Path {
        self.to.scratch()
    }
}

fn sums(states: usize, all: &[Vec<u64>]) -> Vec<u64> {
    (0..states).map(|state| all.iter().map(|counts| counts[state]).sum()).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, PortError> {
    std::fs::read(path).map_err(|error| PortError::retry(format!("`{}` cannot be read: {error}", path.display())))
}
