//! What checkpoint storage has of a job, read for people: by nobody who claims it. Blocks.

use std::collections::HashMap;

use gristmill_checkpoint::recovery::Fact;
use gristmill_checkpoint::{ChainEntry, FileHash, FileRef, Manifest, NodeSnapshot, RunFolder, Slot};
use gristmill_ports::{CheckpointStore, PortError};
use gristmill_types::{CheckpointId, JobId, ModuleHash, RunId};

/// Why a job cannot go on from a checkpoint. Lengths of files are compared; their content is, when it is read.
pub(super) fn lack_of(
    store: &dyn CheckpointStore,
    job: &JobId,
    run: RunId,
    accepted: CheckpointId,
) -> Result<Option<String>, PortError> {
    let found = kept(store, job, run, usize::MAX)?.into_iter().find_map(|(_, fact)| match fact {
        Fact::Checkpoint(manifest) if manifest.checkpoint == accepted => Some(manifest),
        Fact::Claim(_) | Fact::Checkpoint(_) | Fact::Incomplete(..) | Fact::Damaged(_) => None,
    });
    let Some(manifest) = found else {
        return Ok(Some(format!(
            "checkpoint {accepted} is not in storage; `gristmill job checkpoints {job}` lists those that are"
        )));
    };
    let lack = lack_in(store, &RunFolder::new(job, run), &manifest)?;
    Ok(lack.map(|why| format!("checkpoint {accepted} cannot be used: {why}")))
}

/// What a checkpoint names and is not there as it was written.
fn lack_in(store: &dyn CheckpointStore, folder: &RunFolder, manifest: &Manifest) -> Result<Option<String>, PortError> {
    let listed = store.list(&folder.files())?.into_iter();
    let lengths: HashMap<String, u64> = listed.map(|stored| (stored.path, stored.bytes)).collect();
    let lack = |file: &FileRef| {
        let path = folder.file(file);
        let place = format!("`{}/{path}`", store.describe());
        match lengths.get(&path) {
            None => Some(format!("{place} is missing")),
            Some(bytes) if *bytes != file.bytes => {
                Some(format!("{place} has {bytes} bytes where {} belong", file.bytes))
            }
            Some(_) => None,
        }
    };
    if let Some(lacking) = manifest.files().iter().find_map(lack) {
        return Ok(Some(lacking));
    }
    for page in &manifest.pages {
        let bytes = store.get(&folder.file(&page.file))?.unwrap_or_default();
        let is_whole = FileHash::of(&bytes) == page.file.hash;
        let lacking = match NodeSnapshot::decode(&bytes) {
            Ok(snapshot) if is_whole => snapshot.files().find_map(|file| lack(&file)),
            Ok(_) | Err(_) => Some(format!("`{}/{}` is damaged", store.describe(), folder.file(&page.file))),
        };
        if lacking.is_some() {
            return Ok(lacking);
        }
    }
    Ok(None)
}

/// Reads the newest slots of a chain, leaving claims out.
pub(super) fn kept(
    store: &dyn CheckpointStore,
    job: &JobId,
    run: RunId,
    most: usize,
) -> Result<Vec<(Slot, Fact)>, PortError> {
    let listed = store.list(&RunFolder::new(job, run).chain())?;
    let mut slots: Vec<_> =
        listed.into_iter().filter_map(|stored| Some((RunFolder::slot_of(&stored.path)?, stored.path))).collect();
    slots.sort_by_key(|(slot, _)| std::cmp::Reverse(*slot));
    let mut found = Vec::new();
    for (slot, path) in slots.into_iter().take(most) {
        // Deleted since it was listed.
        let Some(record) = store.get(&path)? else { continue };
        match ChainEntry::decode(&record) {
            Ok(ChainEntry::Claim(_)) => {}
            Ok(ChainEntry::Checkpoint(manifest)) => found.push((slot, Fact::Checkpoint(Box::new(manifest)))),
            Err(damaged) => found.push((slot, Fact::Damaged(damaged))),
        }
    }
    Ok(found)
}

/// The newest checkpoint of a run, of those that are kept, in which an operator runs this module.
pub(super) fn newest_with(
    store: &dyn CheckpointStore,
    job: &JobId,
    run: RunId,
    module: ModuleHash,
) -> Result<Option<CheckpointId>, PortError> {
    let folder = RunFolder::new(job, run);
    for (_, fact) in kept(store, job, run, usize::MAX)? {
        let Fact::Checkpoint(manifest) = fact else { continue };
        for page in &manifest.pages {
            // Deleted meanwhile, or damaged: then nothing goes on from it.
            let page = store.get(&folder.file(&page.file))?.and_then(|bytes| NodeSnapshot::decode(&bytes).ok());
            if page.is_some_and(|page| page.module == Some(module)) {
                return Ok(Some(manifest.checkpoint));
            }
        }
    }
    Ok(None)
}

/// The newest decided checkpoint of a run, or the one of this number.
pub(super) fn newest(
    store: &dyn CheckpointStore,
    job: &JobId,
    run: RunId,
    wanted: Option<CheckpointId>,
) -> Result<Option<Manifest>, PortError> {
    let listed = store.list(&RunFolder::new(job, run).chain())?;
    let mut slots: Vec<_> =
        listed.into_iter().filter_map(|stored| Some((RunFolder::slot_of(&stored.path)?, stored.path))).collect();
    slots.sort_by_key(|(slot, _)| std::cmp::Reverse(*slot));
    for (_, path) in slots {
        // Deleted since it was listed.
        let Some(record) = store.get(&path)? else { continue };
        if let Ok(ChainEntry::Checkpoint(manifest)) = ChainEntry::decode(&record)
            && wanted.is_none_or(|wanted| manifest.checkpoint == wanted)
        {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}
