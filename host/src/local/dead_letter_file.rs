//! Dead letters of a job without a host: one JSON object a line, readable with any tool.
//!
//! A line is there at once, and goes away again if the job goes back to a checkpoint before it. Lines of a process that
//! was killed stay.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_ports::PortError;
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch, KeptLetter};
use gristmill_server::api_types::Payload;
use gristmill_types::{CheckpointId, DeadLetter, JobId, RunId};
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
    /// What may have to go away again, in the order of the file; letters of one epoch that touch are one.
    undecided: Vec<Undecided>,
}

/// Lines of one epoch.
struct Undecided {
    epoch: Epoch,
    /// Where they stand in the file.
    bytes: Range<u64>,
    letters: u64,
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

    fn cannot(&self, action: &'static str) -> impl Fn(std::io::Error) -> PortError {
        move |error| PortError::fatal(format!("{action} {}: {error}", self.path.display()))
    }

    fn locked(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn write(&mut self, path: &Path, epoch: Epoch, letters: &[DeadLetter]) -> std::io::Result<()> {
        let mut lines = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut lines, &readable(letter))?;
            lines.push(b'\n');
        }
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().create(true).read(true).append(true).open(path)?);
        }
        let file = self.file.as_mut().expect("opened above");
        let start = file.seek(SeekFrom::End(0))?;
        file.write_all(&lines)?;
        file.sync_data()?;
        let (bytes, letters) = (start..start + lines.len() as u64, letters.len() as u64);
        self.count += letters;
        match self.undecided.last_mut().filter(|last| last.epoch == epoch && last.bytes.end == bytes.start) {
            Some(last) => (last.bytes.end, last.letters) = (bytes.end, last.letters + letters),
            None => self.undecided.push(Undecided { epoch, bytes, letters }),
        }
        Ok(())
    }

    /// Takes the lines of a run out of the file that it wrote behind a checkpoint.
    fn go_back(&mut self, run: RunId, to: CheckpointId) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let (gone, mut stays): (Vec<_>, Vec<_>) =
            self.undecided.drain(..).partition(|lines| lines.epoch.run == run && lines.epoch.after >= to);
        if let Some(first) = gone.first().map(|lines| lines.bytes.start) {
            let mut rest = Vec::new();
            file.seek(SeekFrom::Start(first))?;
            file.read_to_end(&mut rest)?;
            for lines in gone.iter().rev() {
                rest.drain((lines.bytes.start - first) as usize..(lines.bytes.end - first) as usize);
                let length = lines.bytes.end - lines.bytes.start;
                let behind = stays.iter_mut().filter(|other| other.bytes.start >= lines.bytes.end);
                behind.for_each(|other| other.bytes = other.bytes.start - length..other.bytes.end - length);
                self.count -= lines.letters;
            }
            file.set_len(first)?;
            file.write_all(&rest)?;
            file.sync_data()?;
        }
        self.undecided = stays;
        Ok(())
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
    fn append(&self, _: &JobId, epoch: Epoch, letters: &[DeadLetter]) -> Result<(), PortError> {
        self.locked().write(&self.path, epoch, letters).map_err(self.cannot("writing"))
    }

    fn decided(&self, _: &JobId, run: RunId, checkpoint: CheckpointId) -> Result<(), PortError> {
        self.locked().undecided.retain(|lines| lines.epoch.run != run || lines.epoch.after >= checkpoint);
        Ok(())
    }

    fn abort_behind(&self, _: &JobId, run: RunId, restored: Option<CheckpointId>) -> Result<(), PortError> {
        let to = restored.unwrap_or(CheckpointId(0));
        self.locked().go_back(run, to).map_err(self.cannot("taking lines back out of"))
    }

    fn page(&self, _: &JobId, _: u64, _: usize) -> Result<Vec<KeptLetter>, PortError> {
        Err(PortError::fatal(format!("dead letters of `run` are read from {}", self.path.display())))
    }

    fn count(&self, _: &JobId) -> Result<u64, PortError> {
        Ok(self.locked().count)
    }

    fn mark_replayed(&self, _: &JobId, _: Epoch, _: &[u64]) -> Result<(), PortError> {
        Err(PortError::fatal("dead letters of `run` cannot be replayed; submit the job to a host for that"))
    }

    fn is_replayed(&self, _: &JobId, _: u64) -> Result<bool, PortError> {
        Ok(false)
    }

    fn delete(&self, _: &JobId) -> Result<(), PortError> {
        Err(PortError::fatal(format!("dead letters of `run` are kept in {}", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use gristmill_types::dead_letter::Reason;
    use serde_json::Value;

    use super::*;

    fn epoch(after: u64) -> Epoch {
        Epoch { run: RunId(1), after: CheckpointId(after) }
    }

    fn letter(origin: &str) -> DeadLetter {
        DeadLetter {
            operator: "parse".parse().expect("an id"),
            input: "in".to_owned(),
            module: None,
            reason: Reason { kind: "trap".to_owned(), message: "why".to_owned() },
            backtrace: Vec::new(),
            origin: origin.to_owned(),
            timestamp: 0,
            key: None,
            value: None,
            at_ms: 0,
        }
    }

    fn origins(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).expect("the file is there");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a whole line"));
        lines.map(|line| line["origin"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn lines_behind_the_checkpoint_go_away_when_the_job_goes_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("letters.jsonl");
        std::fs::write(&path, "{\"origin\": \"of yesterday\"}\n").expect("written");
        let (file, job) = (DeadLetterFile::new(path.clone()), "a".parse().expect("an id"));
        for (after, origin) in [(0, "a"), (1, "b"), (0, "c"), (2, "d"), (1, "e")] {
            file.append(&job, epoch(after), &[letter(origin)]).expect("kept");
        }
        file.decided(&job, RunId(1), CheckpointId(1)).expect("noted");
        file.abort_behind(&job, RunId(1), Some(CheckpointId(2))).expect("gone");
        assert_eq!(
            (origins(&path), file.count(&job)),
            (["of yesterday", "a", "b", "c", "e"].map(str::to_owned).into(), Ok(4))
        );
        file.append(&job, epoch(2), &[letter("f")]).expect("kept");
        file.abort_behind(&job, RunId(1), Some(CheckpointId(1))).expect("gone");
        assert_eq!((origins(&path), file.count(&job)), (["of yesterday", "a", "c"].map(str::to_owned).into(), Ok(2)));
    }
}
