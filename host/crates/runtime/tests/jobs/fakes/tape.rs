//! A source that can be read again: numbered events, given as far as a test lets it.

use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use gristmill_checkpoint::SplitPosition;
use gristmill_ports::source::ReadBounds;
use gristmill_ports::{PortError, SourceBatch, SourceReader};
use gristmill_types::EventBatch;

use super::PATIENCE;

/// Event `i` has the value `key:i`, for one of a few keys. A clone is the same tape.
#[derive(Clone)]
pub(crate) struct Tape(Arc<(Mutex<Played>, Condvar)>);

struct Played {
    length: usize,
    keys: usize,
    /// Events before this may be read.
    until: usize,
    /// The highest number that any reader has come to.
    reached: usize,
    /// Events before this cannot be read any more.
    forgotten: usize,
    wakers: Vec<Waker>,
}

fn position(split: &SplitPosition) -> usize {
    u64::from_le_bytes(split.position[..].try_into().unwrap()) as usize
}

impl Tape {
    pub(crate) fn new(length: usize, keys: usize) -> Self {
        let played = Played { length, keys, until: 0, reached: 0, forgotten: 0, wakers: Vec::new() };
        Self(Arc::new((Mutex::new(played), Condvar::new())))
    }

    /// Lets readers come this far.
    pub(crate) fn play(&self, until: usize) {
        let mut played = self.0.0.lock().unwrap();
        played.until = played.until.max(until);
        played.wakers.drain(..).for_each(Waker::wake);
    }

    /// Lets readers that begin from now on come no further than this.
    pub(crate) fn hold(&self, until: usize) {
        let mut played = self.0.0.lock().unwrap();
        (played.until, played.reached) = (until, 0);
    }

    /// Events before this cannot be read any more: the source was told that nobody goes back to them.
    pub(crate) fn forgotten(&self) -> usize {
        self.0.0.lock().unwrap().forgotten
    }

    pub(crate) fn wait_forgotten(&self, number: usize) {
        self.wait(|played| played.forgotten >= number, "the tape was not told to forget so much");
    }

    fn wait(&self, until: impl Fn(&Played) -> bool, otherwise: &str) {
        let (lock, moved) = &*self.0;
        let waited = moved.wait_timeout_while(lock.lock().unwrap(), PATIENCE, |played| !until(played)).unwrap();
        assert!(!waited.1.timed_out(), "{otherwise}");
    }

    pub(crate) fn wait_reached(&self, number: usize) {
        self.wait(|played| played.reached >= number, "the tape was not read so far");
    }

    /// What a job must make of it that counts by key: for each key `key=1`, `key=2` and so on.
    pub(crate) fn counted(&self) -> Vec<String> {
        let played = self.0.0.lock().unwrap();
        let mut counts: Vec<String> = (0..played.length)
            .map(|number| format!("k{}={}", number % played.keys, number / played.keys + 1))
            .collect();
        counts.sort_unstable();
        counts
    }

    /// # Errors
    /// If what is to be read again was forgotten.
    pub(crate) fn reader(&self, resume: Option<&[SplitPosition]>) -> Result<Box<dyn SourceReader>, PortError> {
        let next = resume.and_then(|splits| splits.first()).map_or(0, position);
        let forgotten = self.forgotten();
        if next < forgotten {
            return Err(PortError::fatal(format!(
                "the tape begins with event {forgotten}, and the job goes on with event {next}"
            )));
        }
        Ok(Box::new(TapeReader { tape: self.clone(), next }))
    }
}

struct TapeReader {
    tape: Tape,
    next: usize,
}

impl SourceReader for TapeReader {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        bounds: ReadBounds,
    ) -> Poll<Result<Option<SourceBatch>, PortError>> {
        let (lock, moved) = &*self.tape.0;
        let mut played = lock.lock().unwrap();
        if self.next == played.length {
            return Poll::Ready(Ok(None));
        }
        let end = played.until.min(played.length).min(self.next + bounds.max_rows.min(7));
        if self.next >= end {
            played.wakers.push(context.waker().clone());
            return Poll::Pending;
        }
        let mut events = EventBatch::default();
        for number in self.next..end {
            let key = format!("k{}", number % played.keys);
            events.push(number as i64, Some(key.as_bytes()), Some(format!("{key}:{number}").as_bytes()));
        }
        self.next = end;
        played.reached = played.reached.max(end);
        moved.notify_all();
        Poll::Ready(Ok(Some(SourceBatch { events, undecodable: Vec::new() })))
    }

    fn positions(&self) -> Vec<SplitPosition> {
        vec![SplitPosition { split: "tape".to_owned(), position: (self.next as u64).to_le_bytes().to_vec() }]
    }

    fn forget_before(&mut self, oldest: &[SplitPosition]) {
        let mut played = self.tape.0.0.lock().unwrap();
        played.forgotten = played.forgotten.max(oldest.first().map_or(0, position));
        self.tape.0.1.notify_all();
    }

    fn decode_again(&mut self, _: &[u8], _: &str) -> SourceBatch {
        unimplemented!("everything on a tape can be decoded")
    }
}
