//! Dead letters: paged through, and put back in front of the operators that refused them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gristmill_ports::PortError;
use gristmill_ports::catalog::OperationRecord;
use gristmill_ports::crash::CrashName;
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch, KeptLetter};
use gristmill_runtime::{JobHandle, ReplayError};
use gristmill_types::{CheckpointId, DeadLetter, JobId};
use serde_json::{Value, json};

use super::live::LiveJob;
use super::{Control, ControlError, blocking};

/// Letters that a page shows at most.
pub(crate) const PAGE: usize = 1000;
/// Letters that are replayed in one go.
const CHUNK: usize = 256;
/// Letters that could not be replayed of which an operation tells the reason.
const EXPLAINED: usize = 20;
/// Why a letter that is not decided is not replayed.
const NOT_DECIDED: &str = "it belongs to work that is not committed yet, and goes away if the job goes back to its last \
                           checkpoint; replay it when it is decided";

/// Some letters of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct LetterPage {
    /// All letters of the job.
    pub count: u64,
    /// Those of this page, in order.
    pub letters: Vec<NumberedLetter>,
    /// The number of the first letter behind this page; `None` if there is none.
    pub next: Option<u64>,
}

/// A letter with its number.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedLetter {
    /// Counted from zero; letters that went away leave gaps.
    pub number: u64,
    /// Whether it was put back already.
    pub replayed: bool,
    /// Whether it belongs to work that is committed. Otherwise it goes away if the job goes back; or stays as it is, if
    /// its run ended before that work was committed.
    pub decided: bool,
    /// The bundle of the call that ended in this fault, if one is kept.
    pub crash: Option<CrashName>,
    /// The letter.
    pub letter: DeadLetter,
}

/// Which letters are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All that are decided and were not replayed yet.
    All,
    /// These, if they are decided and were not replayed yet.
    Numbers(BTreeSet<u64>),
}

impl Control {
    /// Letters from number `from` on, at most `limit` of them and never more than 1000.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn dead_letters(&self, id: &JobId, from: u64, limit: usize) -> Result<LetterPage, ControlError> {
        let live = self.job(id).await?.live;
        let store = Arc::clone(&self.parts.dead_letters);
        let of = id.clone();
        let mut page = blocking(move || page(&*store, &of, from, limit.min(PAGE))).await??;
        for letter in &mut page.letters {
            letter.crash = self.crash_of(id, &letter.letter);
            if let Some(live) = &live {
                letter.letter.reason.message = live.hide_secrets(&letter.letter.reason.message);
            }
        }
        Ok(page)
    }

    /// Puts letters back that are decided, and marks each as replayed once its node has taken it in. The mark goes away
    /// again if the job goes back behind that. At least once: a host that dies in between puts the last few back again
    /// when asked again.
    ///
    /// # Errors
    /// If there is no such job or it is over; what happens to single letters is told by the operation.
    pub async fn replay(self: &Arc<Self>, id: &JobId, selection: Selection) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("given letters")?);
        let operation = self.begin("replay-dead-letters", id).await?;
        let begun = operation.clone();
        let control = Arc::clone(self);
        let store = Arc::clone(&self.parts.dead_letters);
        tokio::spawn(async move {
            let replayed = blocking(move || {
                // One at a time: two that read the same marks would put the same letters back twice.
                let _alone = live.replaying();
                Replay::new(&*store, &live).run(&selection)
            });
            let replayed = replayed.await;
            let outcome = match replayed {
                Ok(outcome) => outcome,
                Err(bug) => Err(json!({"message": bug.to_string()})),
            };
            control.end(begun, outcome).await;
        });
        Ok(operation)
    }
}

fn page(store: &dyn DeadLetterStore, job: &JobId, from: u64, limit: usize) -> Result<LetterPage, PortError> {
    let count = store.count(job)?;
    let letters = numbered(store, job, from, limit)?;
    let behind = letters.last().map_or(from, |last| last.number + 1);
    let next = store.page(job, behind, 1)?.first().map(|letter| letter.number);
    Ok(LetterPage { count, letters, next })
}

fn numbered(
    store: &dyn DeadLetterStore,
    job: &JobId,
    from: u64,
    limit: usize,
) -> Result<Vec<NumberedLetter>, PortError> {
    let numbered = |KeptLetter { number, letter, is_decided }| {
        Ok(NumberedLetter {
            number,
            replayed: store.is_replayed(job, number)?,
            decided: is_decided,
            crash: None,
            letter,
        })
    };
    store.page(job, from, limit)?.into_iter().map(numbered).collect()
}

/// One replay under way.
struct Replay<'a> {
    store: &'a dyn DeadLetterStore,
    handle: &'a JobHandle,
    live: &'a LiveJob,
    replayed: u64,
    skipped: u64,
    undecided: u64,
    refused: u64,
    reasons: Vec<Value>,
}

impl<'a> Replay<'a> {
    fn new(store: &'a dyn DeadLetterStore, live: &'a LiveJob) -> Self {
        let handle = live.handle();
        Self { store, handle, live, replayed: 0, skipped: 0, undecided: 0, refused: 0, reasons: Vec::new() }
    }

    /// The operation's detail: `Ok` if every letter that was meant is back in the stream or was before.
    fn run(mut self, selection: &Selection) -> Result<Value, Value> {
        let ended = match selection {
            Selection::All => self.all(),
            Selection::Numbers(numbers) => self.numbers(numbers),
        };
        let mut detail = json!({
            "replayed": self.replayed, "already_replayed": self.skipped, "undecided": self.undecided,
            "refused": self.refused, "reasons": self.reasons,
        });
        match ended {
            Ok(()) if self.refused == 0 => Ok(detail),
            Ok(()) => Err(detail),
            Err(error) => {
                detail["message"] = Value::String(self.live.hide_secrets(&error.message));
                Err(detail)
            }
        }
    }

    fn all(&mut self) -> Result<(), PortError> {
        // As many as there are now, and no more: letters that come back while this goes on are for another time.
        let mut left = self.store.count(self.handle.id())?;
        let mut from = 0;
        while left > 0 {
            let limit = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
            let page = numbered(self.store, self.handle.id(), from, limit)?;
            let Some(last) = page.last() else { break };
            from = last.number + 1;
            left -= page.len() as u64;
            let (decided, undecided): (Vec<_>, Vec<_>) =
                page.into_iter().partition(|letter| letter.decided || letter.replayed);
            self.undecided += undecided.len() as u64;
            self.chunk(decided)?;
        }
        Ok(())
    }

    fn numbers(&mut self, numbers: &BTreeSet<u64>) -> Result<(), PortError> {
        let numbers: Vec<u64> = numbers.iter().copied().collect();
        for numbers in numbers.chunks(CHUNK) {
            let mut chunk = Vec::with_capacity(numbers.len());
            for number in numbers {
                let found = numbered(self.store, self.handle.id(), *number, 1)?.pop();
                match found.filter(|letter| letter.number == *number) {
                    Some(letter) if letter.decided || letter.replayed => chunk.push(letter),
                    Some(_) => self.refuse(*number, NOT_DECIDED),
                    None => self.refuse(*number, "there is no letter of this number"),
                }
            }
            self.chunk(chunk)?;
        }
        Ok(())
    }

    /// Puts some letters back; if one of them is refused, one by one.
    fn chunk(&mut self, chunk: Vec<NumberedLetter>) -> Result<(), PortError> {
        let before = chunk.len();
        let chunk: Vec<_> = chunk.into_iter().filter(|letter| !letter.replayed).collect();
        self.skipped += (before - chunk.len()) as u64;
        let (numbers, letters): (Vec<_>, Vec<_>) =
            chunk.into_iter().map(|letter| (letter.number, letter.letter)).unzip();
        // Or a mark could be made behind the going back that undid what it stands for.
        let stays = self.handle.stays();
        match self.handle.replay(&letters) {
            Ok(taken_in) => self.note(&numbers, &taken_in),
            Err(over @ (ReplayError::NotRunning(_) | ReplayError::EndedMeanwhile(_))) => {
                Err(PortError::fatal(over.to_string()))
            }
            Err(ReplayError::NoSuchInput { .. } | ReplayError::NoKey { .. } | ReplayError::Ended { .. }) => {
                drop(stays);
                numbers.into_iter().zip(letters).try_for_each(|(number, letter)| self.single(number, letter))
            }
        }
    }

    fn single(&mut self, number: u64, letter: DeadLetter) -> Result<(), PortError> {
        let _stays = self.handle.stays();
        match self.handle.replay(&[letter]) {
            Ok(taken_in) => self.note(&[number], &taken_in),
            Err(over @ (ReplayError::NotRunning(_) | ReplayError::EndedMeanwhile(_))) => {
                Err(PortError::fatal(over.to_string()))
            }
            Err(
                refused @ (ReplayError::NoSuchInput { .. } | ReplayError::NoKey { .. } | ReplayError::Ended { .. }),
            ) => {
                self.refuse(number, &refused.to_string());
                Ok(())
            }
        }
    }

    /// Marks letters with the checkpoint behind which each was taken in: the mark goes away with that work.
    fn note(&mut self, numbers: &[u64], taken_in: &[CheckpointId]) -> Result<(), PortError> {
        self.replayed += numbers.len() as u64;
        let mut by_checkpoint = BTreeMap::<CheckpointId, Vec<u64>>::new();
        for (&number, &after) in numbers.iter().zip(taken_in) {
            by_checkpoint.entry(after).or_default().push(number);
        }
        let run = self.handle.run();
        by_checkpoint
            .into_iter()
            .try_for_each(|(after, numbers)| self.store.mark_replayed(self.handle.id(), Epoch { run, after }, &numbers))
    }

    fn refuse(&mut self, number: u64, message: &str) {
        self.refused += 1;
        if self.reasons.len() < EXPLAINED {
            self.reasons.push(json!({"number": number, "message": self.live.hide_secrets(message)}));
        }
    }
}
