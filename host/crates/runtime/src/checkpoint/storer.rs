//! Makes parts of checkpoints durable, stores manifests, deletes garbage: one thread, one after the other.
//!
//! One thread, because the order is the safety: what is deleted was nobody's when the order was given, and whoever
//! stores the same bytes again does so behind it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use gristmill_checkpoint::chain::read_back;
use gristmill_checkpoint::coordinator::{Ack, NodePart, SubtaskStats, ToStore};
use gristmill_checkpoint::recovery::Decided;
use gristmill_checkpoint::retention::Garbage;
use gristmill_checkpoint::{ChainEntry, RunFolder, Slot, StateFile};
use gristmill_ports::checkpoint_store::{Content, PutNew};
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::parts::Urgency;
use gristmill_ports::state::FrozenState;
use gristmill_ports::{CheckpointStore, FileStore, Parts, PortError, Signal};
use gristmill_types::AttemptId;
use tokio::sync::watch;

use crate::checkpoint::cut::{Cut, NodeCut, StorerWork};
use crate::checkpoint::patience::{Undone, until_done};
use crate::checkpoint::told::Told;
use crate::ending::TaskEnd;

/// The storer of one attempt.
pub(crate) struct Storer {
    pub(crate) attempt: AttemptId,
    pub(crate) folder: RunFolder,
    pub(crate) store: Arc<dyn CheckpointStore>,
    pub(crate) files: Arc<dyn FileStore>,
    pub(crate) dead_letters: Arc<dyn DeadLetterStore>,
    /// Hears of each checkpoint that is decided.
    pub(crate) newest: watch::Sender<Option<Decided>>,
    pub(crate) told: Sender<Told>,
    pub(crate) over: Signal,
    pub(crate) parts: Arc<dyn Parts>,
    /// How often a checkpoint is due.
    pub(crate) every: Option<Duration>,
    /// The last part took longer than that.
    pub(crate) is_late: bool,
}

impl Storer {
    /// Works until nobody is left who could want something, or the attempt is over.
    pub(crate) fn run(mut self, work: &Receiver<StorerWork>) {
        while let Ok(work) = work.recv() {
            let done = match work {
                StorerWork::Part(cut) => self.part(*cut),
                StorerWork::Manifest(to_store) => self.manifest(&to_store),
                StorerWork::Garbage(garbage) => {
                    self.delete(&garbage);
                    Ok(())
                }
                StorerWork::Sweep(paths) => {
                    self.delete_all(paths.into_iter());
                    Ok(())
                }
            };
            match done {
                Ok(()) => {}
                Err(Undone::Over) => return,
                Err(Undone::Refused(why)) => {
                    // Whoever took the run over may have thrown away what this attempt had staged.
                    if let Ok(Some((slot, attempt))) = self.overtaken() {
                        let _ = self.told.send(Told::Stranger { slot, attempt });
                        return;
                    }
                    let cause = format!("a checkpoint cannot be stored in {}: {why}", self.store.describe());
                    // What stands in the chain is for the next attempt to judge, when it claims its slot.
                    let _ = self.told.send(Told::Failed(TaskEnd::passing(cause)));
                    return;
                }
            }
        }
    }

    fn until_done<T>(&self, act: impl FnMut() -> Result<T, PortError>) -> Result<T, Undone> {
        let mut is_troubled = false;
        let done = until_done(&self.over, act, |error| {
            tracing::warn!(run = self.folder.prefix(), store = self.store.describe(), error, "storing is tried again");
            is_troubled = true;
            let _ = self.told.send(Told::Storing { trouble: Some(error.to_owned()) });
        });
        if is_troubled {
            let _ = self.told.send(Told::Storing { trouble: None });
        }
        done
    }

    /// Another attempt's entry at the end of the chain, if it is there.
    fn overtaken(&self) -> Result<Option<(Slot, AttemptId)>, PortError> {
        let stored = self.store.list(&self.folder.chain())?;
        let Some(last) = stored.iter().filter_map(|stored| RunFolder::slot_of(&stored.path)).max() else {
            return Ok(None);
        };
        let record = self.store.get(&self.folder.slot(last))?;
        let owner = record.and_then(|record| read_back(&record).ok()).map(|found| found.entry.attempt());
        Ok(owner.filter(|owner| *owner != self.attempt).map(|owner| (last, owner)))
    }

    fn part(&mut self, cut: Cut) -> Result<(), Undone> {
        let Cut { checkpoint, by, nodes, since, aligned, inline, _on_its_way } = cut;
        let (mut parts, mut staged) = (Vec::with_capacity(nodes.len()), Vec::new());
        let mut stats = SubtaskStats {
            aligned_us: u64::try_from(aligned.as_micros()).unwrap_or(u64::MAX),
            inline_us: u64::try_from(inline.as_micros()).unwrap_or(u64::MAX),
            ..SubtaskStats::default()
        };
        for NodeCut { node, mut snapshot, frozen, staged: output } in nodes {
            if let Some(mut frozen) = frozen {
                stats.entries += frozen.entries();
                let files = self.store_state(&mut *frozen)?;
                stats.bytes += files.iter().map(|file| file.file.bytes).sum::<u64>();
                snapshot.files = files;
            }
            if let Some(mut output) = output {
                staged.extend(self.until_done(|| output.seal(&*self.files))?);
            }
            parts.push(NodePart { node, snapshot });
        }
        fail::fail_point!("part-durable");
        let took = since.elapsed();
        self.is_late = self.every.is_some_and(|every| took > every);
        stats.durable_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let ack = Ack { checkpoint, by, nodes: parts, staged, stats };
        let _ = self.told.send(Told::Acked(Box::new(ack)));
        Ok(())
    }

    /// Sorting and writing state takes long, and stands back behind the stream: a thread of its own, since none can take
    /// that back. Not if the part before came late: a job that changes more than it can store meanwhile would have its
    /// checkpoints ever further apart.
    fn store_state(&self, frozen: &mut dyn FrozenState) -> Result<Vec<StateFile>, Undone> {
        let mut store = || self.until_done(|| frozen.store(&*self.files));
        if self.is_late {
            return store();
        }
        let stand_back_and_store = || {
            self.parts.stand_back(Urgency::Soon);
            store()
        };
        std::thread::scope(|scope| {
            scope.spawn(stand_back_and_store).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn manifest(&self, to_store: &ToStore) -> Result<(), Undone> {
        for (file, page) in &to_store.pages {
            self.until_done(|| self.store.put(&self.folder.file(file), Content::Bytes(page)))?;
        }
        fail::fail_point!("pages-stored");
        let (manifest, slot) = (&to_store.manifest, to_store.slot);
        let record = ChainEntry::Checkpoint(manifest.clone()).encode();
        let owner = self.until_done(|| put_into_slot(&*self.store, &self.folder.slot(slot), &record))?;
        fail::fail_point!("manifest-stored");
        if let SlotOwner::Stranger(attempt) = owner {
            let _ = self.told.send(Told::Stranger { slot, attempt });
            return Ok(());
        }
        self.newest.send_replace(Some(Decided { slot, checkpoint: manifest.checkpoint }));
        self.until_done(|| self.dead_letters.decided(&manifest.job, manifest.run, manifest.checkpoint))?;
        let _ = self.told.send(Told::Stored(manifest.checkpoint));
        Ok(())
    }

    /// Slots before files: a crash in between leaves garbage, never a checkpoint with holes. What cannot be deleted now
    /// stays until an attempt begins.
    fn delete(&self, garbage: &Garbage) {
        let slots = garbage.slots.iter().map(|slot| self.folder.slot(*slot));
        let files = garbage.files.iter().map(|file| self.folder.file(file));
        self.delete_all(slots.chain(files));
    }

    fn delete_all(&self, paths: impl Iterator<Item = String>) {
        for path in paths {
            if self.over.is_raised() {
                return;
            }
            fail::fail_point!("garbage-deleted");
            if let Err(error) = self.store.delete(&path) {
                tracing::warn!(path, %error, "what no checkpoint needs stays for now");
            }
        }
    }
}

/// Whose record fills a slot.
pub(crate) enum SlotOwner {
    /// The one that was to be put there.
    Ours,
    /// Another attempt's.
    Stranger(AttemptId),
}

/// Puts a record into its slot. After an answer that leaves it open whether it stands there, call it again: what stands
/// there is read back and compared.
///
/// # Errors
/// If the store cannot be reached, or what fills the slot cannot be read.
pub(crate) fn put_into_slot(store: &dyn CheckpointStore, path: &str, record: &[u8]) -> Result<SlotOwner, PortError> {
    match store.put_new(path, record)? {
        PutNew::Created => Ok(SlotOwner::Ours),
        PutNew::Exists => {
            let found = store.get(path)?.ok_or_else(|| PortError::retry(format!("`{path}` was there and is gone")))?;
            if found == record {
                return Ok(SlotOwner::Ours);
            }
            let found = read_back(&found).map_err(|why| PortError::fatal(format!("`{path}` cannot be read: {why}")))?;
            Ok(SlotOwner::Stranger(found.entry.attempt()))
        }
    }
}
