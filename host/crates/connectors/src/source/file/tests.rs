mod csv;
mod resume;

use std::io::Write;
use std::time::Duration;

use gristmill_dataflow::document::SourceKind;

use super::*;
use crate::fixture::{bell, runtime, subtask as subtask_of};

/// The `from` and the rest of a source, as JSON.
fn spec(from: &str, rest: &str) -> SourceSpec {
    serde_json::from_str(&format!(r#"{{"from": {{"file": {from}}} {rest}}}"#)).expect("a good source")
}

fn open_one(spec: &SourceSpec, base: &Path, subtask: u32, of: u32) -> Result<Box<dyn SourceReader>, PortError> {
    open_at(spec, base, subtask, of, None)
}

fn open_at(
    spec: &SourceSpec,
    base: &Path,
    subtask: u32,
    of: u32,
    resume: Option<&[SplitPosition]>,
) -> Result<Box<dyn SourceReader>, PortError> {
    let context = subtask_of("files", subtask, of);
    let SourceKind::File(file) = &spec.from else { panic!("a file source") };
    open(&context, spec, file, base, resume, runtime())
}

/// Everything that a reader gives, and the error that it ends with.
fn drain(reader: &mut dyn SourceReader, max_rows: usize, max_bytes: usize) -> (SourceBatch, Option<PortError>) {
    take(reader, max_rows, max_bytes, usize::MAX)
}

/// So many batches of a reader, or all, and the error that it ends with.
fn take(
    reader: &mut dyn SourceReader,
    max_rows: usize,
    max_bytes: usize,
    mut batches: usize,
) -> (SourceBatch, Option<PortError>) {
    let (waker, rung) = bell();
    let mut all = SourceBatch::default();
    while batches > 0 {
        match reader.poll_next(&mut Context::from_waker(&waker), ReadBounds { max_rows, max_bytes, now_ms: 42 }) {
            Poll::Ready(Ok(Some(batch))) => {
                assert!(batch.events.len() + batch.undecodable.len() <= max_rows);
                let bytes = batch.events.values().data().len();
                assert!(bytes <= max_bytes || batch.events.len() == 1, "{bytes} bytes in a batch");
                all.events.append(&batch.events);
                all.undecodable.extend(batch.undecodable);
                batches -= 1;
            }
            Poll::Ready(Ok(None)) => return (all, None),
            Poll::Ready(Err(error)) => return (all, Some(error)),
            Poll::Pending => rung.recv_timeout(Duration::from_secs(20)).expect("woken"),
        }
    }
    (all, None)
}

fn read_all(spec: &SourceSpec, base: &Path) -> SourceBatch {
    let (all, error) = drain(&mut *open_one(spec, base, 0, 1).expect("it opens"), 3, 1000);
    assert_eq!(error, None);
    all
}

fn values(batch: &SourceBatch) -> Vec<String> {
    batch.events.values().iter().map(|value| String::from_utf8_lossy(value.expect("a value")).into_owned()).collect()
}

fn origins(batch: &SourceBatch) -> Vec<&str> {
    batch.undecodable.iter().map(|letter| letter.origin.as_str()).collect()
}

fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).expect("written");
    }
    directory
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

#[test]
fn lines_of_all_files_come_in_the_order_of_names() {
    let two_members = [gzip(b"3\n"), gzip(b"4\n")].concat();
    let packed = zstd::encode_all(&b"5\n6"[..], 1).expect("packed");
    let directory =
        directory(&[("c.jsonl.zst", &packed), ("b.jsonl.gz", &two_members), ("a.jsonl", b"\xef\xbb\xbf1\r\n\r\n2")]);
    let batch = read_all(&spec(r#"{"path": "*.jsonl*"}"#, r#", "decode": "json""#), directory.path());
    assert_eq!(values(&batch), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(batch.events.timestamps(), [42; 6], "without a time of their own, that of arrival");
}

#[test]
fn a_torn_line_goes_to_the_dead_letters_with_its_place() {
    let directory = directory(&[("a.jsonl", b"{\"t\":1}\n\n{\"t\":2\n{\"t\":3}\n{}\n")]);
    let spec = spec(r#"{"path": "a.jsonl"}"#, r#", "decode": "json", "event_time": {"path": "$.t"}"#);
    let batch = read_all(&spec, directory.path());
    assert_eq!(batch.events.timestamps(), [1, 3]);
    assert_eq!(origins(&batch), ["a.jsonl:3", "a.jsonl:5"]);
    assert_eq!(batch.undecodable[0].raw, b"{\"t\":2");
    let mut reader = open_one(&spec, directory.path(), 0, 1).expect("it opens");
    let again = reader.decode_again(b"{\"t\":2}", "a.jsonl:3");
    assert_eq!(again.events.timestamps(), [2], "mended, it is read");
}

#[test]
fn a_line_that_is_too_long_does_not_stop_the_file() {
    let long = [b"1\n", vec![b'x'; 17 << 20].as_slice(), b"\n2\n"].concat();
    let directory = directory(&[("a.txt", &long)]);
    let batch = read_all(&spec(r#"{"path": "a.txt"}"#, ""), directory.path());
    assert_eq!((values(&batch), origins(&batch)), (vec!["1".to_owned(), "2".to_owned()], vec!["a.txt:2 (cut)"]));
    assert!(batch.undecodable[0].raw.len() <= 64 << 10 && batch.undecodable[0].reason.contains("16777216 bytes"));
}

#[test]
fn a_packed_file_that_was_cut_off_fails_after_its_last_event() {
    let lines: Vec<u8> = (0..100_000).flat_map(|line| format!("{line}\n").into_bytes()).collect();
    let packed = [("a.gz", gzip(&lines)), ("a.zst", zstd::encode_all(&lines[..], 1).expect("packed"))];
    for (name, bytes) in packed {
        let directory = directory(&[(name, &bytes[..bytes.len() / 2])]);
        let mut reader =
            open_one(&spec(&format!(r#"{{"path": "{name}"}}"#), ""), directory.path(), 0, 1).expect("it opens");
        let (batch, error) = drain(&mut *reader, 1000, 1 << 20);
        assert!(name == "a.zst" || batch.events.len() > 1000, "{name}: what was whole comes first");
        let error = error.expect("it was cut off");
        assert!(error.message.contains(&format!("`{name}` ends in the middle")), "{error}");
    }
    let directory = directory(&[("a.gz", b"not gzip at all")]);
    let mut reader = open_one(&spec(r#"{"path": "a.gz"}"#, ""), directory.path(), 0, 1).expect("it opens");
    let (_, error) = drain(&mut *reader, 1000, 1 << 20);
    assert!(error.expect("damaged").message.contains("cannot be unpacked"));
}

/// A directory of files named by two digits, each with its number in it.
fn numbered(files: std::ops::Range<u32>) -> tempfile::TempDir {
    let directory = directory(&[]);
    files.for_each(|file| write_numbered(&directory, file));
    directory
}

fn write_numbered(directory: &tempfile::TempDir, file: u32) {
    std::fs::write(directory.path().join(format!("{file:02}.txt")), format!("{file:02}")).expect("written");
}

#[test]
fn each_file_is_read_by_one_subtask_in_the_order_of_names() {
    let directory = numbered(0..40);
    let spec = spec(r#"{"path": "*.txt"}"#, "");
    let mut all = Vec::new();
    for subtask in 0..4 {
        let mut reader = open_one(&spec, directory.path(), subtask, 4).expect("it opens");
        let mine = values(&drain(&mut *reader, 10, 100).0);
        assert!(mine.is_sorted() && (1..20).contains(&mine.len()), "{mine:?}");
        all.extend(mine);
    }
    all.sort();
    assert_eq!(all, (0..40).map(|file| format!("{file:02}")).collect::<Vec<_>>());
}

#[test]
fn a_file_that_appears_while_subtasks_open_takes_no_other_from_them() {
    let directory = numbered(10..50);
    let spec = spec(r#"{"path": "*.txt"}"#, "");
    let mut readers = Vec::new();
    for subtask in 0..4 {
        readers.push(open_one(&spec, directory.path(), subtask, 4).expect("it opens"));
        // Before all others in the order of names.
        write_numbered(&directory, subtask);
    }
    let mut all: Vec<String> = readers.iter_mut().flat_map(|reader| values(&drain(&mut **reader, 10, 100).0)).collect();
    all.sort();
    let old: Vec<String> = (10..50).map(|file| format!("{file:02}")).collect();
    assert_eq!(all.iter().filter(|value| value.as_str() >= "10").cloned().collect::<Vec<_>>(), old);
    let read = all.len();
    all.dedup();
    assert_eq!(all.len(), read, "nothing twice");
}

#[test]
fn what_cannot_be_read_is_a_sentence_when_the_source_opens() {
    let directory = directory(&[("a.csv", b"")]);
    let json = r#", "decode": "json", "event_time": {"path": "$.t"}"#;
    for (from, rest, words) in [
        (r#"{"path": "none.jsonl"}"#, "", "there is no file"),
        (r#"{"path": "*.jsonl"}"#, "", "no file matches"),
        (r#"{"path": "a.csv", "replay_speed": 1}"#, "", "needs `event_time`"),
        (r#"{"path": "a.csv", "replay_speed": 0}"#, json, "must be above zero"),
    ] {
        let error = open_one(&spec(from, rest), directory.path(), 0, 1).err().expect(words);
        assert!(error.message.contains(words), "{error}");
    }
    let mut reader = open_one(&spec(r#"{"path": "a.csv"}"#, r#", "decode": {"csv": {}}"#), directory.path(), 0, 1)
        .expect("it opens");
    let (_, error) = drain(&mut *reader, 10, 100);
    assert!(error.expect("no header").message.contains("`a.csv` is empty"));
}

#[test]
fn a_replay_keeps_the_gaps_between_event_times() {
    let directory = directory(&[("a", b"{\"t\":1000}\n{\"t\":7000}\n{\"t\":13000}\n")]);
    let spec = spec(r#"{"path": "a", "replay_speed": 100.0}"#, r#", "decode": "json", "event_time": {"path": "$.t"}"#);
    let begin = Instant::now();
    assert_eq!(read_all(&spec, directory.path()).events.timestamps(), [1000, 7000, 13_000]);
    assert!(begin.elapsed() >= Duration::from_millis(120), "twelve seconds, a hundred times as fast");
}
