//! Makes parts durable, stores manifests, deletes garbage: one piece of work after the other, one write a step.

use std::collections::{BTreeMap, VecDeque};

use gristmill_checkpoint::coordinator::{Ack, Event, NodePart, Staged, SubtaskStats, ToStore};
use gristmill_checkpoint::{ChainEntry, FileHash, FileRef, StateFile};

use crate::attempt::{Running, node};
use crate::obvious::Obvious;
use crate::subtask::{ALL_GROUPS, Cut};
use crate::world::{Met, Unsure, World, encode};

/// What the storer is to do, and how far it has come.
pub(crate) enum Work {
    Part { cut: Box<Cut>, state: Option<StateFile>, output: Option<FileRef>, is_acked: bool },
    Manifest { to_store: Box<ToStore>, pages: usize },
    Delete(VecDeque<String>),
}

impl Running {
    /// One after the other: what is deleted was nobody's when the order was given.
    pub(crate) fn step_storer(&mut self, world: &mut World) {
        let Some(mut work) = self.storer.pop_front() else { return };
        let is_done = match &mut work {
            Work::Part { cut, state, output, is_acked } => {
                if world.plays(Obvious::AcknowledgesBeforeItIsDurable) && !*is_acked {
                    self.name_without_writing(cut, state, output);
                    self.acknowledge(cut, *state, *output);
                    *is_acked = true;
                    false
                } else if *is_acked && world.dice.per_mille(900) {
                    // It will be written when there is time.
                    self.storer.push_back(work);
                    return;
                } else {
                    self.store_part(cut, state, output, *is_acked, world)
                }
            }
            Work::Manifest { to_store, pages } => self.store_manifest(to_store, pages, world),
            Work::Delete(paths) => {
                if let Some(path) = paths.pop_front() {
                    world.delete(&path);
                }
                paths.is_empty()
            }
        };
        if !is_done {
            self.storer.push_front(work);
        }
    }

    /// Whether the part is durable and acknowledged.
    fn store_part(
        &mut self,
        cut: &Cut,
        state: &mut Option<StateFile>,
        output: &mut Option<FileRef>,
        is_acked: bool,
        world: &mut World,
    ) -> bool {
        if is_acked {
            let state = state.map(|state| (state.file, encode(cut.state.clone())));
            let output = output.map(|output| (output, encode(cut.output.clone())));
            let mut files = state.into_iter().chain(output);
            return files.all(|(file, bytes)| world.put(world.folder.file(&file), &bytes).is_ok());
        }
        if state.is_none() && !cut.state.is_empty() {
            *state = self.write_state(cut.state.clone(), world).ok();
        } else if output.is_none() && !cut.output.is_empty() {
            *output = self.write(&encode(cut.output.clone()), world).ok();
        } else {
            self.acknowledge(cut, *state, *output);
            return true;
        }
        false
    }

    fn name_without_writing(&mut self, cut: &Cut, state: &mut Option<StateFile>, output: &mut Option<FileRef>) {
        if !cut.state.is_empty() {
            let file = self.name(&encode(cut.state.clone()));
            *state = Some(StateFile { file, entries: cut.state.len() as u64, groups: ALL_GROUPS });
        }
        if !cut.output.is_empty() {
            *output = Some(self.name(&encode(cut.output.clone())));
        }
    }

    fn acknowledge(&mut self, cut: &Cut, state: Option<StateFile>, output: Option<FileRef>) {
        let mut snapshot = cut.snapshot.clone();
        snapshot.files.extend(state);
        self.subtasks[snapshot.subtask.at()].on_their_way -= 1;
        let staged = output.map(|file| Staged { sink: node("out"), payload: Vec::new(), files: vec![file] });
        let ack = Ack {
            checkpoint: cut.checkpoint,
            by: cut.by,
            nodes: vec![NodePart { node: node("count"), snapshot }],
            staged: staged.into_iter().collect(),
            stats: SubtaskStats::default(),
        };
        self.told.push_back(Event::Acked(Box::new(ack)));
    }

    fn name(&mut self, bytes: &[u8]) -> FileRef {
        self.files_written += 1;
        FileRef { attempt: self.id, number: self.files_written, hash: FileHash::of(bytes), bytes: bytes.len() as u64 }
    }

    fn write(&mut self, bytes: &[u8], world: &mut World) -> Result<FileRef, Unsure> {
        let file = self.name(bytes);
        world.put(world.folder.file(&file), bytes).map(|()| file)
    }

    pub(crate) fn write_state(&mut self, state: BTreeMap<u8, u64>, world: &mut World) -> Result<StateFile, Unsure> {
        let entries = state.len() as u64;
        self.write(&encode(state), world).map(|file| StateFile { file, entries, groups: ALL_GROUPS })
    }

    /// Whether it is known what became of the manifest.
    fn store_manifest(&mut self, to_store: &ToStore, pages: &mut usize, world: &mut World) -> bool {
        if let Some((file, bytes)) = to_store.pages.get(*pages) {
            *pages += usize::from(world.put(world.folder.file(file), bytes).is_ok());
            return false;
        }
        let entry = ChainEntry::Checkpoint(to_store.manifest.clone());
        let is_ours = match world.put_into_slot(to_store.slot, &entry) {
            Ok(true) => Ok(self.id),
            Ok(false) => {
                world.meet(Met::ReadBack);
                // What stands there is read back: it may be ours, from a put that was answered by an error.
                let found = world.get(&world.folder.slot(to_store.slot));
                found
                    .as_deref()
                    .map(ChainEntry::decode)
                    .transpose()
                    .map(|found| found.map_or(self.id, |one| one.attempt()))
            }
            Err(_) if world.plays(Obvious::TakesAnErrorForANo) => {
                let staged = to_store.manifest.committables.iter().flat_map(|one| &one.files);
                let paths: Vec<_> = staged.map(|file| world.folder.file(file)).collect();
                paths.iter().for_each(|path| world.delete(path));
                self.gave_up = true;
                return true;
            }
            Err(_) => return false,
        };
        match is_ours {
            Ok(owner) if owner == self.id => self.told.push_back(Event::Stored(to_store.manifest.checkpoint)),
            Ok(attempt) => self.told.push_back(Event::Stranger { slot: to_store.slot, attempt }),
            Err(_) => self.gave_up = true,
        }
        true
    }
}
