//! Looks at a piece of checkpoint storage without a host: says what it is, and what is wrong with it.
//!
//! Reads only. Of a host that runs meanwhile, what it has just deleted may look as if it were missing.

mod found;
mod examiner;

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use gristmill_checkpoint::framed::Damaged;
use gristmill_checkpoint::recovery::{Fact, Facts, out_of_place};
use gristmill_checkpoint::savepoint::RECORD;
use gristmill_checkpoint::{ChainEntry, FileHash, NodeSnapshot, RunFolder, Savepoint, Slot};
use gristmill_types::{JobId, RunId};

pub(crate) use found::{Found, Inspection};

use crate::words::unreadable;
use examiner::{Examiner, wrong_with};
use found::{Damage, Entry, Filled, Run, Tally};

/// First bytes of what there is.
const CHAIN_ENTRY: [u8; 4] = *b"GMCK";
const PAGE: [u8; 4] = *b"GMPG";
const STATE_FILE: [u8; 4] = *b"GMST";

/// A data directory holds a storage, that the folders of jobs, these their runs: so deep are runs looked for.
const DEPTH: u32 = 4;

/// Says what lies at a path.
///
/// # Errors
/// If nothing does, it cannot be read, or it is no part of a checkpoint storage.
pub(crate) fn inspect(path: &Path) -> anyhow::Result<Inspection> {
    let shown = || path.display().to_string();
    let advice = "give a checkpoint storage, such as `checkpoints` in a host's data directory, the folder of a run or of a \
                  savepoint, or a file of one";
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, "checkpoint", &error, advice))?;
    if metadata.is_dir() && path.join(RECORD).is_file() {
        let (savepoint, examiner) = savepoint(path)?;
        return Ok(Inspection { path: shown(), found: Found::Savepoint { savepoint }, damaged: examiner.damaged });
    }
    if metadata.is_dir() {
        let folders = runs_below(path, DEPTH).with_context(|| format!("looking through `{}`", path.display()))?;
        if folders.is_empty() {
            bail!(
                "`{}` holds no checkpoints: give a checkpoint storage, the folder `jobs/JOB/RUN` of a run, a file of one, or \
                 the folder of a savepoint",
                path.display()
            );
        }
        let mut damaged = Vec::new();
        let runs = folders.iter().map(|folder| {
            let (run, wrong) = run(folder)?;
            damaged.extend(wrong);
            Ok(run)
        });
        let runs = runs.collect::<anyhow::Result<_>>()?;
        return Ok(Inspection { path: shown(), found: Found::Runs { runs }, damaged });
    }
    let (found, examiner) = single(path, metadata.len())?;
    Ok(Inspection { path: shown(), found, damaged: examiner.damaged })
}

/// The folder of a savepoint, wherever it was moved: its record, and every file that it names.
fn savepoint(folder: &Path) -> anyhow::Result<(Option<Box<Savepoint>>, Examiner)> {
    let path = folder.join(RECORD);
    let record = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
    let mut examiner = Examiner::new(Some(folder.join("files")));
    let savepoint = Savepoint::decode(&record).map_err(|damaged| examiner.note(&path, damaged.to_string())).ok();
    if let Some(savepoint) = &savepoint {
        savepoint.files().for_each(|(_, file)| drop(examiner.whole(&file)));
    }
    Ok((savepoint.map(Box::new), examiner))
}

/// A single file, told by its first bytes.
fn single(path: &Path, bytes: u64) -> anyhow::Result<(Found, Examiner)> {
    let reading = || format!("reading `{}`", path.display());
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(6).read_to_end(&mut head)).with_context(reading)?;
    let mut examiner = Examiner::new(files_beside(path));
    let found = match head.first_chunk() {
        Some(&CHAIN_ENTRY) => {
            let (entry, _) = examiner.entry(path, &std::fs::read(path).with_context(reading)?);
            Found::ChainEntry { entry }
        }
        Some(&PAGE) => {
            let snapshot = NodeSnapshot::decode(&std::fs::read(path).with_context(reading)?);
            let snapshot = snapshot.map_err(|damaged| examiner.note(path, damaged.to_string()));
            Found::Page { snapshot: snapshot.ok().map(Box::new) }
        }
        Some(&STATE_FILE) => {
            let version = head.get(4..6).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
            Found::StateFile { bytes, version }
        }
        Some(_) | None => bail!(
            "`{}` is no file of a checkpoint: it begins neither as an entry of a chain, nor as a page, nor as a file of \
             state; give one of these, or the folder that holds them",
            path.display()
        ),
    };
    if let Some(why) = hash_in_name(path).and_then(|hash| wrong_with(path, None, hash)) {
        examiner.note(path, why);
    }
    Ok((found, examiner))
}

/// The files of the run to whose chain a file belongs.
fn files_beside(slot: &Path) -> Option<PathBuf> {
    let chain = slot.parent().filter(|folder| folder.ends_with("chain"))?;
    Some(chain.parent()?.join("files")).filter(|files| files.is_dir())
}

/// The hash that stands in the name of a file, as `{number}-{hash}`.
fn hash_in_name(path: &Path) -> Option<FileHash> {
    let (number, hash) = path.file_name()?.to_str()?.split_once('-')?;
    u64::from_str_radix(number, 16).ok()?;
    blake3::Hash::from_hex(hash).ok().map(|hash| FileHash(*hash.as_bytes()))
}

/// Folders of runs, by path.
fn runs_below(folder: &Path, depth: u32) -> std::io::Result<Vec<PathBuf>> {
    if folder.join("chain").is_dir() || (folder.join("files").is_dir() && Place::of(folder).0.is_some()) {
        return Ok(vec![folder.to_owned()]);
    }
    let mut runs = Vec::new();
    if depth > 0 {
        for entry in entries(folder)? {
            if entry.is_dir() {
                runs.extend(runs_below(&entry, depth - 1)?);
            }
        }
    }
    Ok(runs)
}

/// What lies in a folder, by name.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Whose records belong into a folder, as its path says: `…/JOB/RUN`.
struct Place(Option<(JobId, RunId)>);

impl Place {
    fn of(folder: &Path) -> Self {
        let name = |folder: &Path| Some(folder.file_name()?.to_str()?.to_owned());
        let run = || name(folder)?.parse().ok();
        let job = || name(folder.parent()?)?.parse().ok();
        Self(job().zip(run()))
    }

    fn fact(&self, entry: ChainEntry) -> Fact {
        let (job, run, fact) = match entry {
            ChainEntry::Claim(claim) => (claim.job.clone(), claim.run, Fact::Claim(claim)),
            ChainEntry::Checkpoint(manifest) => {
                (manifest.job.clone(), manifest.run, Fact::Checkpoint(Box::new(manifest)))
            }
        };
        match &self.0 {
            Some((here, this)) if *here != job || *this != run => {
                Fact::Damaged(Damaged::Elsewhere(format!("it is of run {run} of job `{job}`")))
            }
            Some(_) | None => fact,
        }
    }
}

/// A run, and what is wrong with it.
fn run(folder: &Path) -> anyhow::Result<(Run, Vec<Damage>)> {
    let reading = |path: &Path| format!("reading `{}`", path.display());
    let (chain_folder, files) = (folder.join("chain"), folder.join("files"));
    let mut examiner = Examiner::new(Some(files.clone()));
    let place = Place::of(folder);
    let (mut whose, mut facts) = (None, Facts::default());
    let mut chain = Vec::new();
    let filled = if chain_folder.is_dir() { entries(&chain_folder) } else { Ok(Vec::new()) };
    for path in filled.with_context(|| reading(&chain_folder))? {
        let Some(slot) = slot_of(&path) else { continue };
        let record = match std::fs::read(&path) {
            Ok(record) => record,
            // Deleted since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                let why = format!("it cannot be read: {error}");
                examiner.note(&path, why.clone());
                chain.push(Filled { slot, entry: Entry::Unreadable { why } });
                continue;
            }
        };
        let (entry, decoded) = examiner.entry(&path, &record);
        if let Some(decoded) = decoded {
            let fact = place.fact(decoded);
            let said = match &fact {
                Fact::Claim(claim) => Some((claim.job.clone(), claim.run)),
                Fact::Checkpoint(manifest) => Some((manifest.job.clone(), manifest.run)),
                Fact::Incomplete(..) => None,
                Fact::Damaged(why) => {
                    examiner.note(&path, why.to_string());
                    None
                }
            };
            whose = whose.or(said);
            facts.slots.push((slot, fact));
            if let Some(why) = out_of_place(&facts, slot) {
                examiner.note(&path, format!("it does not belong here: {why}"));
            }
        }
        chain.push(Filled { slot, entry });
    }
    // Claims are never deleted.
    if !chain.iter().any(|filled| !matches!(filled.entry, Entry::Checkpoint(_))) {
        examiner
            .note(&chain_folder, "it has no record of any attempt: records were taken away, and checkpoints with them");
    }
    let whose = whose.or(place.0);
    let named: HashSet<_> = examiner.seen.keys().map(|file| files.join(file.to_string())).collect();
    let (files, unnamed) = tally(&files, &named).with_context(|| reading(&files))?;
    let (job, run) = whose.unzip();
    let run = Run { folder: folder.display().to_string(), job, run, chain, files, unnamed };
    Ok((run, examiner.damaged))
}

/// The files of a run, and those of them that nothing names.
fn tally(files: &Path, named: &HashSet<PathBuf>) -> std::io::Result<(Tally, Tally)> {
    let (mut all, mut unnamed) = (Tally::default(), Tally::default());
    let attempts = if files.is_dir() { entries(files)? } else { Vec::new() };
    for attempt in attempts.iter().filter(|path| path.is_dir()) {
        for file in entries(attempt)? {
            // Deleted since it was seen, if it cannot be asked.
            let Ok(metadata) = file.metadata() else { continue };
            all.add(metadata.len());
            if !named.contains(&file) {
                unnamed.add(metadata.len());
            }
        }
    }
    Ok((all, unnamed))
}

fn slot_of(path: &Path) -> Option<Slot> {
    RunFolder::slot_of(path.file_name()?.to_str()?)
}

#[cfg(test)]
mod tests;
