use std::num::NonZeroU32;
use std::sync::OnceLock;

use gristmill_ports::Signal;
use gristmill_types::{MaxParallelism, Parallelism, RunId, SubtaskIndex};
use serde_json::json;

use super::*;

fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().expect("threads")).handle()
}

fn open_as(directory: &Path, spec: serde_json::Value, subtask: u32, of: u32) -> Result<Box<dyn Sink>, PortError> {
    let context = PartContext {
        job: "job".parse().expect("an id"),
        run: RunId(1),
        node: "out".parse().expect("an id"),
        subtask: SubtaskIndex(subtask),
        parallelism: Parallelism(NonZeroU32::new(of).expect("not zero")),
        max_parallelism: MaxParallelism::DEFAULT,
        cancelled: Signal::default(),
    };
    open(&context, &serde_json::from_value(spec).expect("a good spec"), directory, runtime())
}

fn open_in(directory: &Path, path: &str, subtask: u32, of: u32) -> Result<Box<dyn Sink>, PortError> {
    open_as(directory, json!({"path": path}), subtask, of)
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

#[test]
fn what_stood_in_the_file_stays_until_something_takes_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("out.jsonl");
    let content = || std::fs::read_to_string(&path).expect("a file");
    std::fs::write(&path, "the last run, and a long one").expect("written");
    drop(open_in(directory.path(), "out.jsonl", 0, 1).expect("it opens"));
    assert_eq!(content(), "the last run, and a long one", "the job did not start");

    let mut sink = open_in(directory.path(), "out.jsonl", 0, 1).expect("it opens");
    sink.write(&batch(&["1"])).expect("taken");
    sink.flush().expect("flushed");
    sink.write(&batch(&["2"])).expect("taken");
    sink.finish().expect("finished");
    assert_eq!(content(), "1\n2\n");
}

#[test]
fn a_run_without_events_leaves_an_empty_file_or_the_header_of_a_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("out");
    for (encode, wanted) in [(json!("json-lines"), ""), (json!({"csv": {"columns": {"a": "$.a"}}}), "a\n")] {
        std::fs::write(&path, "the last run").expect("written");
        let spec = json!({"path": "out", "encode": encode});
        open_as(directory.path(), spec, 0, 1).expect("it opens").finish().expect("finished");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), wanted);
    }
}

#[test]
fn a_file_has_one_writer_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut first = open_in(directory.path(), "out.jsonl", 0, 1).expect("it opens");
    first.write(&batch(&["1"])).expect("taken");
    first.flush().expect("flushed");
    let error = open_in(directory.path(), "./out.jsonl", 0, 1).err().expect("it is being written");
    assert!(error.message.contains("out.jsonl`: another sink, job or program is writing it"), "{error}");
    first.finish().expect("finished");
    drop(first);
    assert_eq!(std::fs::read_to_string(directory.path().join("out.jsonl")).expect("a file"), "1\n");
    open_in(directory.path(), "out.jsonl", 0, 1).expect("the first has ended");
}

#[test]
fn a_pipe_without_a_reader_is_a_sentence_and_one_with_a_reader_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    let error = open_in(directory.path(), "pipe", 0, 1).err().expect("nobody reads");
    assert!(error.message.contains("start its reader first"), "{error}");

    let reader = std::thread::spawn(move || std::fs::read_to_string(path).expect("read to its end"));
    let mut tries = std::iter::repeat_with(|| {
        std::thread::yield_now();
        open_in(directory.path(), "pipe", 0, 1)
    });
    let mut sink = tries.find_map(Result::ok).expect("the reader comes");
    let many = vec!["x".repeat(1000); 1000];
    sink.write(&batch(&many.iter().map(String::as_str).collect::<Vec<_>>())).expect("taken");
    sink.finish().expect("it waits for the reader");
    drop(sink);
    assert_eq!(reader.join().expect("read").len(), 1_001_000);
}
