//! Merges neighbours in the lists of state files, whatever the checkpoints do meanwhile.

use std::collections::BTreeMap;

use gristmill_checkpoint::StateFile;
use gristmill_checkpoint::coordinator::Event;
use gristmill_types::SubtaskIndex;

use crate::attempt::{Running, node};
use crate::obvious::Obvious;
use crate::storer::Work;
use crate::world::{Met, World, decode};

/// A merge under way; `by` is stored already.
pub(crate) struct Merging {
    subtask: SubtaskIndex,
    neighbours: Vec<StateFile>,
    by: Option<StateFile>,
}

impl Running {
    pub(crate) fn step_merger(&mut self, world: &mut World) {
        let Some(Merging { subtask, neighbours, by }) = self.merging.take() else {
            self.merging = self.choose_merge(world);
            return;
        };
        if by.is_some() {
            if world.plays(Obvious::DeletesWhatItMerged) {
                neighbours.iter().for_each(|one| world.delete(&world.folder.file(&one.file)));
            }
            if self.storer.iter().any(|work| matches!(work, Work::Manifest { .. })) {
                world.meet(Met::MergedWhileStoring);
            }
            self.told.push_back(Event::Merged { node: node("count"), subtask, replaced: neighbours, by });
            return;
        }
        let mut merged = BTreeMap::new();
        for StateFile { file, .. } in &neighbours {
            // Torn, or deleted by a successor: then nothing is merged.
            let Some(bytes) = world.get(&world.folder.file(file)).filter(|bytes| bytes.len() as u64 == file.bytes)
            else {
                return;
            };
            merged.extend(decode(&bytes));
        }
        let by = self.write_state(merged, world).ok();
        self.merging = by.map(|by| Merging { subtask, neighbours, by: Some(by) });
    }

    fn choose_merge(&self, world: &mut World) -> Option<Merging> {
        let lists: Vec<_> = self.coordinator.state_files().filter(|(_, _, files)| files.len() > 1).collect();
        let (_, subtask, files) = lists.get(world.dice.below(lists.len().max(1)))?;
        let first = world.dice.below(files.len() - 1);
        let end = first + 2 + world.dice.below(files.len() - first - 1);
        Some(Merging { subtask: *subtask, neighbours: files[first..end].to_vec(), by: None })
    }
}
