//! Dead letters of a job without a host: one JSON object a line, readable with any tool.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gristmill_ports::PortError;
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_server::api_types::Payload;
use gristmill_types::{DeadLetter, JobId};
use serde::Serialize;

/// Appends to a file that is made when the first letter comes.
pub(crate) struct DeadLetterFile {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    file: Option<File>,
    count: u64,
}

/// A letter as people read it. Key and value have the form that they have in the API: `{"text": …}`, or `{"base64": …}`
/// where the bytes are no text, so that none is lost.
#[derive(Serialize)]
struct ReadableLetter<'a> {
    operator: &'a str,
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    reason: &'a gristmill_types::dead_letter::Reason,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    backtrace: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    origin: &'a str,
    timestamp: i64,
    key: Option<Payload>,
    value: Option<Payload>,
    at_ms: i64,
}

impl DeadLetterFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, open: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self, open: &mut Open, letters: &[DeadLetter]) -> std::io::Result<()> {
        if open.file.is_none() {
            open.file = Some(OpenOptions::new().create(true).append(true).open(&self.path)?);
        }
        let mut lines = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut lines, &readable(letter))?;
            lines.push(b'\n');
        }
        open.file.as_mut().expect("opened above").write_all(&lines)
    }
}

fn readable(letter: &DeadLetter) -> ReadableLetter<'_> {
    ReadableLetter {
        operator: letter.operator.as_str(),
        input: &letter.input,
        module: letter.module.map(|hash| hash.to_string()),
        reason: &letter.reason,
        backtrace: &letter.backtrace,
        origin: &letter.origin,
        timestamp: letter.timestamp,
        key: letter.key.clone().map(Payload::from),
        value: letter.value.clone().map(Payload::from),
        at_ms: letter.at_ms,
    }
}

impl DeadLetterStore for DeadLetterFile {
    fn append(&self, _: &JobId, letters: &[DeadLetter]) -> Result<(), PortError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&mut open, letters)
            .map_err(|error| PortError::fatal(format!("writing {}: {error}", self.path.display())))?;
        open.count += letters.len() as u64;
        Ok(())
    }

    fn page(&self, _: &JobId, _: u64, _: usize) -> Result<Vec<(u64, DeadLetter)>, PortError> {
        Err(PortError::fatal(format!("dead letters of `run` are read from {}", self.path.display())))
    }

    fn count(&self, _: &JobId) -> Result<u64, PortError> {
        Ok(self.open.lock().unwrap_or_else(PoisonError::into_inner).count)
    }

    fn mark_replayed(&self, _: &JobId, _: &[u64]) -> Result<(), PortError> {
        Err(PortError::fatal("dead letters of `run` cannot be replayed; submit the job to a host for that"))
    }

    fn is_replayed(&self, _: &JobId, _: u64) -> Result<bool, PortError> {
        Ok(false)
    }

    fn delete(&self, _: &JobId) -> Result<(), PortError> {
        Err(PortError::fatal(format!("dead letters of `run` are kept in {}", self.path.display())))
    }
}
