//! Text → [`JobDocument`], and back to JSON.
//!
//! YAML and JSON are read by one parser, JSON being YAML. It stops at the first error, which says where it is and what
//! to write instead; what the document means is checked elsewhere.

use std::borrow::Cow;
use std::fmt;

use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter};

use crate::document::JobDocument;
use crate::names::suggest;
use crate::position::{Position, Positions};

/// Longest document in bytes. A job of a thousand operators has a tenth of it.
pub const MAX_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;

/// Why a text is not a job document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DocumentError {
    /// Line, counted from one.
    pub line: usize,
    /// Column in characters, counted from one.
    pub column: usize,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself, for [`Self::snippet`].
    source_line: String,
}

impl fmt::Display for DocumentError {
    /// ``line 12, column 5: unknown field `form`; did you mean `from`?`` The caller puts the name of the file before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl DocumentError {
    /// The line with a mark under the column, as three lines of text without a line feed at the end.
    #[must_use]
    pub fn snippet(&self) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let before = " ".repeat(self.column.saturating_sub(1));
        format!("{margin} |\n{number} | {}\n{margin} | {before}^", self.source_line)
    }
}

impl JobDocument {
    /// Reads a job document written in YAML or JSON.
    ///
    /// # Errors
    /// The first thing that is not as it should be: broken YAML, a field that is unknown, missing, said twice or of
    /// another type, a kind or an id that is none.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        if text.len() > MAX_DOCUMENT_BYTES {
            let message = format!("the document has {} bytes, but at most {MAX_DOCUMENT_BYTES} are read", text.len());
            return Err(DocumentError { line: 1, column: 1, message, hint: None, source_line: String::new() });
        }
        // Only `true` and `false` are booleans: the country NO in a parameter stays a text.
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(text, &error))
    }
}

/// The document as JSON with all defaults written out and placeholders unresolved; [`JobDocument::parse`] reads it back.
#[must_use]
pub fn canonical_json(document: &JobDocument) -> serde_json::Value {
    serde_json::to_value(document).expect("all keys of a job document are texts, and its floats come from a text")
}

fn explain(text: &str, error: &Error) -> DocumentError {
    let position = error.location().map_or(Position { line: 1, column: 1 }, |location| Position {
        line: usize::try_from(location.line()).unwrap_or(usize::MAX).max(1),
        column: usize::try_from(location.column()).unwrap_or(usize::MAX).max(1),
    });
    let positions = Positions::of(text);
    let (position, path) = match error.without_snippet() {
        Error::SerdeMissingField { .. } => positions.map_around(position),
        _ => (position, positions.path_at(position).unwrap_or_default()),
    };
    let source_line = text.lines().nth(position.line - 1).unwrap_or_default().trim_end().to_owned();
    let written = written_at(&source_line, position.column);
    let (message, hint) = sentence(error, &written);
    let message = if names_no_part(error) && !path.is_empty() { format!("{path}: {message}") } else { message };
    DocumentError { line: position.line, column: position.column, message, hint, source_line }
}

/// Whether the sentence would leave open which part of the document it speaks of.
fn names_no_part(error: &Error) -> bool {
    matches!(
        error.without_snippet(),
        Error::SerdeInvalidType { .. }
            | Error::SerdeInvalidValue { .. }
            | Error::InvalidScalar { .. }
            | Error::InvalidBooleanStrict { .. }
            | Error::NullIntoString { .. }
            | Error::InvalidCharNotSingleScalar { .. }
            | Error::Unexpected { .. }
            | Error::SerdeMissingField { .. }
            | Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
    )
}

/// What happened, and what to do about it.
fn sentence(error: &Error, written: &str) -> (String, Option<String>) {
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown field `{field}`"), suggest(field, expected.iter().copied()))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("`{variant}` is not known here"), suggest(variant, expected.iter().copied()))
        }
        Error::SerdeMissingField { field, .. } => (format!("the field `{field}` is missing"), None),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            (format!("`{key}` stands here twice"), Some("rename one of the two, or take it out".to_owned()))
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("expected {}, found {}", plain_type(expected), plain_value(unexpected)), None)
        }
        Error::InvalidScalar { ty: expected, .. } | Error::Unexpected { expected, .. } => {
            (format!("expected {}, found {written}", plain_type(expected)), None)
        }
        Error::InvalidBooleanStrict { .. } => (format!("expected true or false, found {written}"), None),
        Error::InvalidCharNotSingleScalar { .. } => (format!("expected a single character, found {written}"), None),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            (format!("expected a name, found {written}"), None)
        }
        Error::NullIntoString { .. } if written == "`null`" => {
            let hint = "in YAML a bare null is nothing at all: write it in quotes, \"null\"";
            ("expected a text, found null".to_owned(), Some(hint.to_owned()))
        }
        Error::NullIntoString { .. } => ("expected a text, found nothing".to_owned(), None),
        Error::Eof { .. } => ("the document ends too early".to_owned(), None),
        Error::MultipleDocuments { .. } => {
            ("a second document begins here".to_owned(), Some("write each job in a file of its own".to_owned()))
        }
        other => (lower_case(&DefaultMessageFormatter.format_message(other)), None),
    }
}

/// Rust's names of types in the words of a document's author.
fn plain_type(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(match name {
        "u8" | "u16" | "u32" | "u64" => "a whole number",
        "a nonzero u32" => "a whole number above zero",
        "i8" | "i16" | "i32" | "i64" => "a whole number, which may be negative",
        "f32" | "f64" | "floating point" => "a number",
        "bool" | "a boolean" => "true or false",
        "string" | "string scalar" | "a string" => "a text",
        "char" | "a character" => "a single character",
        "mapping start" | "mapping" => "a map",
        "sequence start" | "sequence" | "a sequence" => "a list",
        other => match other.strip_prefix("struct ") {
            Some(_) => "a map",
            None => return Cow::Borrowed(other),
        },
    })
}

/// Serde's description of a value, such as ``integer `3` ``, in the same words.
fn plain_value(description: &str) -> Cow<'_, str> {
    match description {
        "sequence" => Cow::Borrowed("a list"),
        "map" => Cow::Borrowed("a map"),
        "unit value" | "Option value" => Cow::Borrowed("nothing"),
        other => match other.split_once(['`', '"']) {
            Some((_, value)) => Cow::Owned(format!("`{}`", value.trim_end_matches(['`', '"']))),
            None => Cow::Borrowed(other),
        },
    }
}

/// What begins at a column, as the author wrote it; cut where it is long.
fn written_at(line: &str, column: usize) -> String {
    let mut rest = line.chars().skip(column - 1).peekable();
    match rest.peek() {
        None => "nothing".to_owned(),
        Some('[') => "a list".to_owned(),
        Some('{') => "a map".to_owned(),
        Some(_) => {
            let word: String =
                rest.take_while(|letter| !matches!(letter, ',' | '}' | ']' | '#' | ':')).take(40).collect();
            format!("`{}`", word.trim().trim_matches('"'))
        }
    }
}

fn lower_case(message: &str) -> String {
    let mut letters = message.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
