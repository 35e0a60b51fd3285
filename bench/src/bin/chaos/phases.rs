//! At what a host was when it died, told from what lies on the disk and in the database.
//!
//! Nothing is taken for granted that the host did not leave behind: a kill between two traces counts for neither phase.
//! A host that is at several things at once is hit in several phases.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gristmill_checkpoint::{ChainEntry, Committable, Manifest, RunFolder};
use gristmill_types::AttemptId;
use serde_json::Value;

use crate::host::Host;
use crate::load::Load;

/// The phases that a kill has hit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phases {
    /// A barrier was through some sink, and its manifest was not stored.
    pub(crate) in_checkpoint: bool,
    /// A manifest was stored, and not all that it lists was committed.
    pub(crate) in_commit: bool,
    /// The host was started, and the job did not run yet.
    pub(crate) in_recovery: bool,
}

/// Looks at what a host has left that was just killed.
pub(crate) fn of(host: &Host, load: &Load) -> anyhow::Result<Phases> {
    let in_recovery = !host.has_run()?;
    let Some(run) = host.run_folder() else { return Ok(Phases { in_recovery, ..Phases::default() }) };
    let Some((newest, manifest)) = end_of_chain(&run.join("chain"))? else {
        return Ok(Phases { in_recovery, ..Phases::default() });
    };
    let in_checkpoint = has_unlisted_output(&run, newest.attempt(), manifest.as_ref())?;
    let in_commit = match newest {
        // A successor has claimed the run: if anything is not committed, then since an earlier kill.
        ChainEntry::Claim(_) => false,
        ChainEntry::Checkpoint(manifest) => has_uncommitted(&manifest, load)?,
    };
    Ok(Phases { in_checkpoint, in_commit, in_recovery })
}

/// The newest entry of a chain, and the newest manifest.
fn end_of_chain(chain: &Path) -> anyhow::Result<Option<(ChainEntry, Option<Manifest>)>> {
    let Ok(found) = chain.read_dir() else { return Ok(None) };
    let paths: Vec<PathBuf> = found.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    let mut slots: Vec<_> = paths.iter().filter_map(|path| Some((RunFolder::slot_of(path.to_str()?)?, path))).collect();
    slots.sort();
    let mut newest = None;
    for (slot, path) in slots.into_iter().rev() {
        let entry = ChainEntry::decode(&std::fs::read(path)?).with_context(|| format!("slot {slot} of the chain"))?;
        let manifest = match &entry {
            ChainEntry::Claim(_) => None,
            ChainEntry::Checkpoint(manifest) => Some(manifest.clone()),
        };
        let newest = newest.get_or_insert(entry);
        if manifest.is_some() {
            return Ok(Some((newest.clone(), manifest)));
        }
    }
    Ok(newest.map(|newest| (newest, None)))
}

/// Whether the attempt has stored pages or rows for a checkpoint behind the newest manifest.
fn has_unlisted_output(run: &Path, attempt: AttemptId, manifest: Option<&Manifest>) -> anyhow::Result<bool> {
    let Ok(found) = run.join("files").join(attempt.to_string()).read_dir() else { return Ok(false) };
    let listed = manifest.iter().flat_map(|manifest| &manifest.committables).flat_map(|output| &output.files);
    let last_rows = listed.filter(|file| file.attempt == attempt).map(|file| file.number).max();
    // Pages have the number of their checkpoint, rows are counted within the attempt.
    let last_page = manifest.map(|manifest| manifest.checkpoint.0);
    for entry in found {
        let unlisted = match kind_of(&entry?.path()) {
            Some((Kind::Page, checkpoint)) => Some(checkpoint) > last_page,
            Some((Kind::Rows, number)) => Some(number) > last_rows,
            Some((Kind::State, _)) | None => false,
        };
        if unlisted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a file in checkpoint storage is.
enum Kind {
    /// Also written between checkpoints.
    State,
    /// What is known of a node.
    Page,
    /// Rows of the table.
    Rows,
}

/// What a file is, and its number; `None` if it is on its way there, or gone.
fn kind_of(path: &Path) -> Option<(Kind, u64)> {
    let name = path.file_name()?.to_str()?;
    let (number, hash) = name.split_once('-')?;
    let number = u64::from_str_radix(number, 16).ok().filter(|_| hash.len() == 64)?;
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).ok()?;
    let kind = match &magic {
        b"GMST" => Kind::State,
        b"GMPG" => Kind::Page,
        _ => Kind::Rows,
    };
    Some((kind, number))
}

/// Whether a file is one that only a checkpoint writes.
pub(crate) fn is_of_checkpoint(path: &Path) -> bool {
    matches!(kind_of(path), Some((Kind::Page | Kind::Rows, _)))
}

/// Whether output that the manifest lists is not visible yet.
fn has_uncommitted(manifest: &Manifest, load: &Load) -> anyhow::Result<bool> {
    let committed = load.table.committed()?;
    let staged = |output: &Committable| {
        let payload: Value = serde_json::from_slice(&output.payload).ok()?;
        Some(payload["staged"].as_str()?.to_owned())
    };
    Ok(manifest.committables.iter().any(|output| match staged(output) {
        Some(name) => load.outputs().iter().any(|folder| folder.join(&name).exists()),
        None => !committed.contains(&output.id.to_string()),
    }))
}
