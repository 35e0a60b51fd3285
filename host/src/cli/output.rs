//! What the command line prints: tables for people, JSON for programs.

#![expect(clippy::print_stderr, reason = "the command line talks to a person")]

use std::io::{IsTerminal, Write};

use serde_json::Value;

/// Prints results in the form that was asked for.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// The value itself, or what `people` says of it.
    pub(crate) fn result(&self, value: &Value, people: impl FnOnce(&Value) -> String) {
        let text = if self.json { pretty(value) } else { people(value) };
        if !text.is_empty() {
            line(&text);
        }
    }

    /// One of many, as it comes.
    pub(crate) fn item(&self, value: &Value, people: impl FnOnce(&Value) -> String) {
        line(&if self.json { value.to_string() } else { people(value) });
    }

    /// A line that only people need.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// The same, over the line before it where there is a terminal.
    pub(crate) fn note_in_place(&self, text: &str) {
        match std::io::stderr().is_terminal() {
            true if !self.json => eprint!("\r\x1b[2K{text}"),
            _ => self.note(text),
        }
    }
}

fn line(text: &str) {
    // A reader that has seen enough (`| head`) is no error.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON can be written")
}

/// Prints why a command failed.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("gristmill: {error:#}");
}

/// Rows in columns, each as wide as its widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let shape = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
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
