//! A transactional sink: what is staged outlives the job, and only what is committed can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use gristmill_checkpoint::coordinator::Staged;
use gristmill_checkpoint::{CommitPermit, Committable};
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{Committer, FileStore, PortError, Sink, StagedOutput};
use gristmill_types::{AttemptId, CheckpointId, EventBatch, NodeId};

/// See the module. A clone is the same book.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    /// By a number that is never used again.
    staged: BTreeMap<u64, (AttemptId, Vec<String>)>,
    next: u64,
    committed: Vec<String>,
    done: BTreeSet<u64>,
    /// Every so many commits one fails, before or after it took effect.
    fails_every: Option<u64>,
    tries: u64,
}

impl Book {
    /// Every `n`th commit fails, in turn before and after it took effect.
    pub(crate) fn fails_every(&self, n: u64) {
        self.0.lock().unwrap().fails_every = Some(n);
    }

    pub(crate) fn committed(&self) -> Vec<String> {
        self.0.lock().unwrap().committed.clone()
    }

    pub(crate) fn sorted(&self) -> Vec<String> {
        let mut committed = self.committed();
        committed.sort_unstable();
        committed
    }

    /// What is staged and neither committed nor thrown away.
    pub(crate) fn staged(&self) -> usize {
        self.0.lock().unwrap().staged.len()
    }

    pub(crate) fn writer(&self, context: &PartContext) -> Box<dyn Sink> {
        Box::new(Writer { book: self.clone(), sink: context.node.clone(), attempt: context.attempt, open: Vec::new() })
    }

    pub(crate) fn committer(&self) -> Box<dyn Committer> {
        Box::new(self.clone())
    }
}

struct Writer {
    book: Book,
    sink: NodeId,
    attempt: AttemptId,
    open: Vec<String>,
}

struct Page {
    book: Book,
    sink: NodeId,
    attempt: AttemptId,
    events: Vec<String>,
}

impl Sink for Writer {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).unwrap();
        self.open.extend(events.values().iter().map(text));
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    fn pre_commit(&mut self, _: CheckpointId) -> Result<Option<Box<dyn StagedOutput>>, PortError> {
        let events = std::mem::take(&mut self.open);
        if events.is_empty() {
            return Ok(None);
        }
        let page = Page { book: self.book.clone(), sink: self.sink.clone(), attempt: self.attempt, events };
        Ok(Some(Box::new(page)))
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        Ok(None)
    }
}

impl StagedOutput for Page {
    fn seal(&mut self, _: &dyn FileStore) -> Result<Vec<Staged>, PortError> {
        let mut pages = self.book.0.lock().unwrap();
        pages.next += 1;
        let number = pages.next;
        pages.staged.insert(number, (self.attempt, std::mem::take(&mut self.events)));
        Ok(vec![Staged { sink: self.sink.clone(), payload: number.to_le_bytes().to_vec(), files: Vec::new() }])
    }
}

fn number(committable: &Committable) -> u64 {
    u64::from_le_bytes(committable.payload[..].try_into().unwrap())
}

impl Committer for Book {
    fn commit(&mut self, _: &CommitPermit, committable: &Committable) -> Result<(), PortError> {
        let mut pages = self.0.lock().unwrap();
        pages.tries += 1;
        let tries = pages.tries;
        let failing = pages.fails_every.is_some_and(|every| tries.is_multiple_of(every));
        let before = tries % 4 < 2;
        if failing && before {
            return Err(PortError::retry("the book is closed"));
        }
        if pages.done.insert(number(committable)) {
            let (_, events) = pages.staged.remove(&number(committable)).expect("what is decided is staged");
            pages.committed.extend(events);
        }
        if failing { Err(PortError::retry("the answer is lost")) } else { Ok(()) }
    }

    fn abort_all_but(&mut self, decided: &[Committable], earlier: &[AttemptId]) -> Result<(), PortError> {
        let kept: BTreeSet<u64> = decided.iter().map(number).collect();
        let mut pages = self.0.lock().unwrap();
        pages.staged.retain(|number, (attempt, _)| kept.contains(number) || !earlier.contains(attempt));
        Ok(())
    }
}
