//! Dead letters on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Payload, time};
use crate::control::{LetterPage, NumberedLetter};

/// A page of dead letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterList {
    /// All letters of the job.
    pub count: u64,
    /// Those of this page, in order.
    pub letters: Vec<DeadLetterView>,
    /// `from` of the next page; null on the last.
    pub next: Option<u64>,
}

impl From<LetterPage> for DeadLetterList {
    fn from(page: LetterPage) -> Self {
        let LetterPage { count, letters, next } = page;
        Self { count, letters: letters.into_iter().map(DeadLetterView::from).collect(), next }
    }
}

/// An event set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterView {
    /// Counted from zero in each job. Letters that went away leave gaps.
    pub number: u64,
    /// Whether it was put back into the stream.
    pub replayed: bool,
    /// Whether it belongs to work that is committed. If not, it belongs to work that is not committed yet, and goes away
    /// if the job goes back to its last checkpoint; the letter of a run that ended before that stays undecided. A letter
    /// can be put back once it is decided.
    pub decided: bool,
    /// The source, operator or sink that could not process it.
    pub operator: String,
    /// The input of that operator; empty for a source.
    pub input: String,
    /// The hash of the module that refused it.
    pub module: Option<String>,
    /// The sort of reason, such as `bad-record`, `trap` or `decode`.
    pub kind: String,
    /// The reason in words.
    pub message: String,
    /// The guest's stack at that moment.
    pub backtrace: Vec<String>,
    /// The crash bundle of the call that ended in this fault, if one is kept: of the first such call.
    pub crash: Option<String>,
    /// Where the event came from, such as a file and a line.
    pub origin: String,
    /// Event time, milliseconds since the epoch.
    pub timestamp: i64,
    /// The key, if any.
    pub key: Option<Payload>,
    /// The value, if any.
    pub value: Option<Payload>,
    /// When it was set aside.
    pub at: String,
}

impl From<NumberedLetter> for DeadLetterView {
    fn from(numbered: NumberedLetter) -> Self {
        let NumberedLetter { number, replayed, decided, crash, letter } = numbered;
        Self {
            number,
            replayed,
            decided,
            operator: letter.operator.to_string(),
            input: letter.input,
            module: letter.module.map(|hash| hash.to_string()),
            kind: letter.reason.kind,
            message: letter.reason.message,
            backtrace: letter.backtrace,
            crash: crash.map(|name| name.to_string()),
            origin: letter.origin,
            timestamp: letter.timestamp,
            key: letter.key.map(Payload::from),
            value: letter.value.map(Payload::from),
            at: time(letter.at_ms),
        }
    }
}

/// Which letters to put back: `{"numbers": [0, 7]}` or `{"all": true}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayRequest {
    /// These.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<u64>>,
    /// All that are decided and were not put back yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}
