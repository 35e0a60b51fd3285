//! A run that begins from a savepoint: laid beside the job, read, and its files copied into the run's own.
//!
//! From then on the run needs the savepoint no more. Nothing flows before the last file is copied, and no checkpoint names
//! the copies before its first: an attempt that ends before leaves them to be swept away, and the next one copies anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gristmill_checkpoint::fit::{Declared, Misfit, NodeFit, StateFit, Stored, fit};
use gristmill_checkpoint::{FileRef, NodeSnapshot, Savepoint, SavepointFolder};
use gristmill_dataflow::document::SourceKind;
use gristmill_dataflow::{JobDocument, Problem};
use gristmill_ports::catalog::Origin;
use gristmill_ports::checkpoint_store::{Content, interrupted};
use gristmill_ports::{CheckpointStore, FileStore, Parts, PortError};
use gristmill_types::{AttemptId, NodeId};

use crate::checkpoint::restored::Restored;
use crate::job::spec::JobSpec;

/// Reads the record of a savepoint; `None` if there is none.
///
/// # Errors
/// `Retry` if the store cannot be reached; `Fatal` if the record is damaged, edited or from a newer host.
pub fn read_savepoint(store: &dyn CheckpointStore, folder: &SavepointFolder) -> Result<Option<Savepoint>, PortError> {
    let Some(record) = store.get(&folder.record())? else { return Ok(None) };
    let place = || format!("`{}/{}`", store.describe(), folder.record());
    let savepoint = Savepoint::decode(&record);
    savepoint.map(Some).map_err(|why| PortError::fatal(format!("the record of the savepoint, {}: {why}", place())))
}

/// What becomes of each node and state of a savepoint in a job. `dropped`: names that may go, `node` or `node.state`.
///
/// # Errors
/// All that does not fit, each with its place in the document where it has one.
pub fn fit_savepoint(
    spec: &JobSpec,
    savepoint: &Savepoint,
    dropped: &BTreeSet<String>,
) -> Result<Vec<NodeFit>, Vec<Problem>> {
    let stored: Vec<Stored<'_>> = savepoint.nodes.iter().map(stored).collect();
    let document = &spec.document;
    let stateless = document.sources.keys().chain(document.sinks.keys()).map(|node| (node, &[][..]));
    let stateless = stateless.map(|(node, states)| Declared { node, states, migrates: false });
    let stateful = spec.operators.iter().map(|(node, parts)| {
        let factory = &parts.prepared.factory;
        Declared { node, states: &factory.descriptor().states, migrates: factory.migrates() }
    });
    let mut declared: Vec<_> = stateless.chain(stateful).collect();
    declared.sort_by_key(|one| one.node);
    let fits = fit((savepoint.max_parallelism, &stored), (spec.plan.max_parallelism, &declared), dropped);
    fits.map_err(|misfits| misfits.iter().map(problem).collect())
}

fn stored(page: &NodeSnapshot) -> Stored<'_> {
    let holds_something = page.subtasks.iter().any(|part| !part.files.is_empty() || !part.splits.is_empty());
    Stored { node: &page.node, states: &page.states, is_occupied: holds_something }
}

fn problem(misfit: &Misfit) -> Problem {
    let at = match misfit {
        Misfit::KeyGroups { .. } => "max_parallelism".to_owned(),
        Misfit::StateLost { node, .. } | Misfit::NoMigration { node, .. } => format!("operators.{node}"),
        Misfit::NodeLost { .. } | Misfit::NothingToDrop { .. } => String::new(),
    };
    Problem::error(at, misfit.to_string())
}

/// What an attempt of a run that has no checkpoint yet begins from.
pub(crate) struct Beginner<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) origin: &'a Origin,
    pub(crate) attempt: AttemptId,
    pub(crate) parts: &'a dyn Parts,
    /// The files of the run.
    pub(crate) files: &'a dyn FileStore,
}

impl Beginner<'_> {
    /// Copies the savepoint into the run, and says what its parts go on from.
    ///
    /// # Errors
    /// `Retry` if a store cannot be reached, or the attempt is over; `Fatal` if the savepoint is gone, damaged, or does
    /// not fit the job.
    pub(crate) fn begin(&self) -> Result<Restored, PortError> {
        let Origin { job, name, dropped } = self.origin;
        let folder = SavepointFolder::new(job, name);
        let there = |what: &str| PortError::fatal(format!("savepoint `{name}` of job `{job}`, to begin from: {what}"));
        let savepoint = read_savepoint(&*self.parts.checkpoint_store(), &folder)?.ok_or_else(|| there("it is gone"))?;
        let fits = fit_savepoint(self.spec, &savepoint, dropped).map_err(|problems| {
            there(&problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "))
        })?;
        let from = self.parts.savepoint_files(&folder, self.attempt)?;
        let mut pages = BTreeMap::new();
        for fit in fits {
            let NodeFit::Continued { node, states } = fit else { continue };
            let mut page = savepoint.node(&node).expect("what goes on is there").clone();
            forget_dropped(&mut page, &states);
            self.forget_what_is_of_the_run(&mut page, &savepoint);
            for file in page.subtasks.iter_mut().flat_map(|part| &mut part.files) {
                file.file = self.copy(&*from, &file.file)?;
            }
            if let Some(tail) = savepoint.tail(&node).filter(|_| self.reads_posts(&node)) {
                self.parts.adopt_tail(&self.spec.document.job, self.spec.run, &node, &from.open(&tail.file)?)?;
            }
            pages.insert(node, page);
        }
        // Of no use to anybody else, and each attempt has one of its own.
        let _ = std::fs::remove_dir_all(from.scratch());
        tracing::info!(job = %self.spec.document.job, savepoint = name, of = %job, "begins from a savepoint");
        Ok(Restored(pages))
    }

    /// Whether a node is a source whose input is the run's own.
    fn reads_posts(&self, node: &NodeId) -> bool {
        self.spec.document.sources.get(node).is_some_and(|source| match source.from {
            SourceKind::Http(_) => true,
            SourceKind::Generator(_) | SourceKind::File(_) | SourceKind::Socket(_) => false,
        })
    }

    /// Counters begin anew; so does a source whose input is the run's own and not in the savepoint, and a sink that writes
    /// elsewhere.
    fn forget_what_is_of_the_run(&self, page: &mut NodeSnapshot, savepoint: &Savepoint) {
        let is_own_input = self.reads_posts(&page.node) && savepoint.tail(&page.node).is_none();
        let goes_on = writes_there(&page.node, &savepoint.document, &self.spec.text);
        for part in &mut page.subtasks {
            part.counters.clear();
            if is_own_input {
                part.splits.clear();
            }
            if !goes_on {
                part.sink.clear();
            }
        }
    }

    fn copy(&self, from: &dyn FileStore, file: &FileRef) -> Result<FileRef, PortError> {
        if self.files.is_over() {
            return Err(interrupted());
        }
        let stored = from.open(file)?;
        let aside = self.files.scratch().join(format!("from-savepoint-{}", file.number));
        std::fs::copy(&stored, &aside).map_err(|error| cannot_copy(&stored, &error))?;
        let copied = self.files.put(Content::File(&aside))?;
        // The store may have moved it.
        let _ = std::fs::remove_file(&aside);
        if copied.hash != file.hash {
            return Err(PortError::retry(format!("`{}` was not copied as it is", stored.display())));
        }
        Ok(copied)
    }
}

/// Entries name states by their place, so it stays; under no name nobody reads them.
pub(crate) fn forget_dropped(page: &mut NodeSnapshot, fits: &[StateFit]) {
    let is_dropped =
        |name: &str| fits.iter().any(|fit| matches!(fit, StateFit::Dropped { state } if state.as_str() == name));
    for state in page.states.iter_mut().filter(|state| is_dropped(&state.name)) {
        state.name.clear();
    }
}

/// Whether a sink writes to the same place by both documents, placeholders in place.
fn writes_there(sink: &NodeId, one: &str, other: &str) -> bool {
    let place = |text: &str| Some(JobDocument::parse(text).ok()?.sinks.get(sink)?.to.clone());
    place(one).is_some_and(|to| place(other).as_ref() == Some(&to))
}

fn cannot_copy(file: &Path, error: &std::io::Error) -> PortError {
    PortError::retry(format!("`{}` cannot be copied: {error}", file.display()))
}
