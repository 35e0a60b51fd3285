//! What is wrong with a job, where, and what to do about it.

use std::fmt;

use serde::Serialize;

use crate::position::Positions;

/// One thing wrong with a job document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the job can run in spite of it.
    pub severity: Severity,
    /// The part of the document, such as `operators.fraud.inputs.in.from`.
    pub at: String,
    /// Its line in the text, counted from one; known once [`place`] has seen the text.
    pub line: Option<usize>,
    /// Its column, counted from one; known with the line.
    pub column: Option<usize>,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether a job can run in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but its author probably meant something else.
    Warning,
}

impl Severity {
    /// The severity in a word, as serde writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Problem {
    /// A problem that keeps the job from running.
    pub fn error(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, at: at.into(), line: None, column: None, message: message.into(), hint: None }
    }

    /// A problem in spite of which the job can run.
    pub fn warning(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(at, message) }
    }

    /// The same problem with a word on what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Whether the job cannot run because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    /// `line 12, column 5: operators.a.inputs.in.from: nothing is called `b`; did you mean `c`?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        match self.severity {
            Severity::Error => {}
            Severity::Warning => f.write_str("warning: ")?,
        }
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Finds the line and column of each problem in the text of the document, and puts the problems in the order of the
/// text.
pub fn place(problems: &mut [Problem], text: &str) {
    if problems.is_empty() {
        return;
    }
    let positions = Positions::of(text);
    for problem in &mut *problems {
        let position = positions.find(&problem.at);
        problem.line = position.map(|position| position.line);
        problem.column = position.map(|position| position.column);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_is_called_as_serde_writes_it() {
        for severity in [Severity::Error, Severity::Warning] {
            assert_eq!(serde_json::json!(severity), severity.as_str());
        }
    }
}
