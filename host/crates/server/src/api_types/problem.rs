//! Errors on the wire.

use gristmill_dataflow::Problem as FoundProblem;
use serde::{Deserialize, Serialize};
use utoipa::{ToResponse, ToSchema};

/// Why a request was not answered as asked: RFC 9457, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, ToResponse)]
#[response(
    description = "Why it was not done: `code` is for programs, `detail` and `hint` are for people",
    content_type = "application/problem+json"
)]
pub struct Problem {
    /// A URN made of the code.
    pub r#type: String,
    /// What is always the same about this sort of problem.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// For programs, such as `module-in-use`; a refused module has the registry's code, such as `not-wasm`.
    pub code: String,
    /// What happened this time.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When to try again, in milliseconds; the header `Retry-After` has it in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Each of several findings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<DocumentProblem>,
}

/// One thing about a job document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentProblem {
    /// `error`, or `warning`: the job can run in spite of it.
    pub severity: String,
    /// Path in the document, such as `operators.fraud.module`; empty for the whole.
    pub at: String,
    /// Line, counted from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in characters, counted from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl DocumentProblem {
    /// A finding that has no place in a document.
    pub(crate) fn of_message(message: String) -> Self {
        FoundProblem::error("", message).into()
    }
}

impl From<FoundProblem> for DocumentProblem {
    fn from(found: FoundProblem) -> Self {
        Self {
            severity: found.severity.as_str().to_owned(),
            at: found.at,
            line: found.line,
            column: found.column,
            message: found.message,
            hint: found.hint,
        }
    }
}
