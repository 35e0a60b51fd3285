//! Writes a file on the host's disk.
//!
//! A file that is there is replaced when the sink opens. Bytes reach the operating system at every flush, the disk at
//! the end.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gristmill_dataflow::document::FileSink;
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::SinkSummary;
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;

use super::outlet::Outlet;
use super::tally::Tally;
use crate::format::encode::Encoder;

/// Opens the file of one subtask; its directory is made.
///
/// # Errors
/// `Fatal` if it cannot be written, or for a path into values that is none.
pub(crate) fn open(context: &PartContext, spec: &FileSink, base: &Path) -> Result<Box<dyn Sink>, PortError> {
    let encoder = Encoder::new(&spec.encode)?;
    let path = path_of(context, &base.join(&spec.path));
    let refuse = |error: std::io::Error| PortError::fatal(cannot_write(context, &path, &error));
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(refuse)?;
    let file = File::create(&path).map_err(refuse)?;
    let mut outlet = Outlet::new(file, format!("`{}`", path.display()));
    outlet.room()?.extend_from_slice(&encoder.header());
    Ok(Box::new(FileWriter { path, encoder, outlet, tally: Tally::new(true) }))
}

/// `name.ext`, or `name-<subtask>.ext` where there are several subtasks.
fn path_of(context: &PartContext, path: &Path) -> PathBuf {
    if context.parallelism.get() == 1 {
        return path.to_owned();
    }
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let mut name = format!("{}-{}", part(path.file_stem()), context.subtask);
    if path.extension().is_some() {
        name = format!("{name}.{}", part(path.extension()));
    }
    path.with_file_name(name)
}

fn cannot_write(context: &PartContext, path: &Path, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; let the host write there, or choose another path"
        }
        ErrorKind::IsADirectory => "; name a file in it",
        _ => "",
    };
    format!("sink `{}`: cannot write `{}`: {error}{hint}", context.node, path.display())
}

struct FileWriter {
    path: PathBuf,
    encoder: Encoder,
    outlet: Outlet<File>,
    tally: Tally,
}

impl Sink for FileWriter {
    fn write(&mut self, events: &EventBatch) -> Result<(), PortError> {
        let room = self.outlet.room()?;
        self.encoder
            .encode(events, room)
            .map_err(|reason| PortError::fatal(format!("`{}`: {reason}", self.path.display())))?;
        self.tally.count(events);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.outlet.write_out()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.outlet.write_out()?;
        let file = self.outlet.writer();
        // Devices and pipes have no disk to reach.
        if file.metadata().is_ok_and(|found| found.is_file()) {
            let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let synced = file.sync_all().and_then(|()| File::open(directory.unwrap_or(Path::new(".")))?.sync_all());
            synced.map_err(|error| self.outlet.error(&error))?;
        }
        Ok(Some(self.tally.summary()))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use gristmill_types::{MaxParallelism, Parallelism, RunId, SubtaskIndex};

    use super::*;

    fn open_in(directory: &Path, path: &str, subtask: u32, parallelism: u32) -> Result<Box<dyn Sink>, PortError> {
        let context = PartContext {
            job: "job".parse().expect("an id"),
            run: RunId(1),
            node: "out".parse().expect("an id"),
            subtask: SubtaskIndex(subtask),
            parallelism: Parallelism(NonZeroU32::new(parallelism).expect("not zero")),
            max_parallelism: MaxParallelism::DEFAULT,
        };
        let spec = serde_json::from_value(serde_json::json!({"path": path})).expect("a good spec");
        open(&context, &spec, directory)
    }

    fn batch(values: &[&str]) -> EventBatch {
        let mut events = EventBatch::default();
        values.iter().for_each(|value| events.push(0, None, Some(value.as_bytes())));
        events
    }

    #[test]
    fn events_are_in_the_file_after_a_flush_and_counted_at_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut sink = open_in(directory.path(), "deep/er/out.jsonl", 0, 1).expect("it opens");
        sink.write(&batch(&["{\"a\":1}", "2"])).expect("written");
        sink.flush().expect("flushed");
        let written = || std::fs::read_to_string(directory.path().join("deep/er/out.jsonl")).expect("a file");
        assert_eq!(written(), "{\"a\":1}\n2\n");
        sink.write(&batch(&["3"])).expect("written");
        let summary = sink.finish().expect("finished").expect("a summary");
        assert_eq!((written().as_str(), summary.events, summary.bytes), ("{\"a\":1}\n2\n3\n", 3, 9));
    }

    #[test]
    fn several_subtasks_write_files_of_their_own() {
        let directory = tempfile::tempdir().expect("a directory");
        for (path, wanted) in [("out.jsonl", "out-1.jsonl"), ("plain", "plain-1")] {
            open_in(directory.path(), path, 1, 2).expect("it opens");
            assert!(directory.path().join(wanted).exists(), "{wanted}");
        }
    }

    #[test]
    fn a_device_is_written_like_a_file() {
        let mut sink = open_in(Path::new("/"), "/dev/null", 0, 1).expect("it opens");
        sink.write(&batch(&["1"])).expect("written");
        assert!(sink.finish().is_ok());
    }

    #[test]
    fn what_cannot_be_written_is_a_sentence() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("file"), "").expect("written");
        std::fs::create_dir(directory.path().join("dir")).expect("made");
        for (path, words) in [("file/out.jsonl", "cannot write"), ("dir", "name a file in it")] {
            let error = open_in(directory.path(), path, 0, 1).err().expect(path);
            assert!(error.message.contains(words) && error.message.contains(path), "{error}");
        }
        let mut full = open_in(Path::new("/"), "/dev/full", 0, 1).expect("it opens");
        full.write(&batch(&["1"])).expect("taken");
        let error = full.flush().expect_err("no space");
        assert_eq!(error.kind, gristmill_ports::ErrorKind::Retry, "{error}");
    }
}
