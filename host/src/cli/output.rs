//! What the command line prints: tables for people, JSON for programs.
//!
//! Results go to standard output, words about the work to standard error. Nothing here knows what the results are.

use std::io::{ErrorKind, IsTerminal, Write};

use serde_json::{Value, json};

use super::api::Refused;
use crate::local::BadJob;

/// Prints results in the form that was asked for.
pub(crate) struct Output {
    json: bool,
}

/// Standard output takes no more.
#[derive(Debug)]
pub(crate) struct Unprinted(std::io::Error);

impl std::fmt::Display for Unprinted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "writing to standard output: {}", self.0)
    }
}

impl std::error::Error for Unprinted {}

impl Unprinted {
    /// Whether the reader has seen enough and left, as `| head` does. That is no error.
    pub(crate) fn reader_left(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// The value itself, or what `people` says of it.
    pub(crate) fn result(&self, value: &Value, people: impl FnOnce(&Value) -> String) -> Result<(), Unprinted> {
        let text = if self.json { pretty(value) } else { people(value) };
        if text.is_empty() { Ok(()) } else { print(&format!("{text}\n")) }
    }

    /// One of many, as it comes.
    pub(crate) fn item(&self, value: &Value, people: impl FnOnce(&Value) -> String) -> Result<(), Unprinted> {
        let text = if self.json { value.to_string() } else { people(value) };
        print(&format!("{text}\n"))
    }

    /// A line that only people need.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            say(&format!("{text}\n"));
        }
    }

    /// The same, over the line before it where there is a terminal.
    pub(crate) fn note_in_place(&self, text: &str) {
        match std::io::stderr().is_terminal() {
            true if !self.json => say(&format!("\r\x1b[2K{text}")),
            _ => self.note(text),
        }
    }
}

/// Writes to standard output, at once.
pub(crate) fn print(text: &str) -> Result<(), Unprinted> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Unprinted)
}

fn say(text: &str) {
    // With nobody to hear it, the work is still to be done.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON can be written")
}

/// Where a failure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// In words, on standard error.
    Words,
    /// As JSON on standard output, in the place of the result.
    Json,
    /// As JSON on standard error, because standard output belongs to sinks or to nobody.
    JsonBesides,
}

/// Prints why a command failed.
pub(crate) fn error(error: &anyhow::Error, complaint: Complaint) {
    match complaint {
        Complaint::Words => say(&format!("gristmill: {error:#}\n")),
        Complaint::JsonBesides => say(&format!("{}\n", problem(error))),
        Complaint::Json => {
            if print(&format!("{}\n", pretty(&problem(error)))).is_err() {
                say(&format!("gristmill: {error:#}\n"));
            }
        }
    }
}

/// An error in the form of the API's problems: `detail` in any case, and what else is known.
fn problem(error: &anyhow::Error) -> Value {
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return refused.problem.clone();
    }
    match error.downcast_ref::<BadJob>() {
        Some(bad) => json!({"detail": "the job cannot run as written", "file": bad.file(), "problems": bad.problems()}),
        None => json!({"detail": format!("{error:#}")}),
    }
}

/// Rows in columns, each as wide as its widest cell; numbers stand at the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let is_number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit());
    let numeric = |column: usize| !rows.is_empty() && rows.iter().all(|row| is_number(&row[column]));
    let columns: Vec<_> = (0..header.len()).map(|column| (width(column), numeric(column))).collect();
    let shape = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&columns).map(|(cell, &(width, numeric))| match numeric {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![shape(&mut header.iter().copied())];
    lines.extend(rows.iter().map(|row| shape(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// A field as text: strings bare, null empty.
pub(crate) fn field(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A field that counts something; zero where there is none.
pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_the_right_and_names_at_the_left() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let shown = table(&["NODE", "IN", "KIND"], &[row(["a", "7", "source"]), row(["long-name", "1200", "sink"])]);
        assert_eq!(shown, "NODE         IN  KIND\na             7  source\nlong-name  1200  sink");
    }
}
