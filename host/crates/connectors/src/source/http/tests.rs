use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gristmill_checkpoint::{FileHash, FileRef};
use gristmill_dataflow::document::SourceKind;
use gristmill_ports::FileStore;
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::source::ReadBounds;
use gristmill_ports::{ErrorKind as PortErrorKind, SourceBatch};
use gristmill_types::AttemptId;

use super::*;
use crate::fixture::{bell, part};

const BOUNDS: ReadBounds = ReadBounds { max_rows: 4, max_bytes: 1000, now_ms: 9 };
const JSON: &str = r#"{"from": {"http": {}}, "decode": "json"}"#;
const RAW: &str = r#"{"from": {"http": {}}}"#;

/// A host, and what it has on its disk.
struct Host {
    disk: tempfile::TempDir,
    sources: Arc<OpenSources>,
}

impl Host {
    fn new() -> Self {
        let disk = tempfile::tempdir().expect("a disk");
        let sources = Arc::new(OpenSources::new(disk.path()));
        Self { disk, sources }
    }

    /// The host as it comes back after it went down.
    fn again(self) -> Self {
        let sources = Arc::new(OpenSources::new(self.disk.path()));
        Self { sources, ..self }
    }

    fn try_open(&self, run: u64, source: &str, resume: Option<&[SplitPosition]>) -> Result<Opened, PortError> {
        let context = PartContext { run: RunId(run), ..part(node().as_str()) };
        let spec: SourceSpec = serde_json::from_str(source).expect("a good source");
        let SourceKind::Http(http) = &spec.from else { panic!("an http source") };
        let reader = open(&context, &spec, http, resume, &self.sources)?;
        let (waker, rung) = bell();
        Ok(Opened { reader, waker, rung })
    }

    fn open(&self, source: &str, resume: Option<&[SplitPosition]>) -> Opened {
        self.try_open(1, source, resume).expect("it opens")
    }

    /// Offers events; the answer, and what is told later.
    fn offer(&self, key: Option<&str>, events: &[&str]) -> (IngressAnswer, mpsc::Receiver<Result<(), PortError>>) {
        let (tell, told) = mpsc::channel();
        let offer = Offer {
            events: events.iter().map(|event| event.as_bytes().to_vec()).collect(),
            idempotency_key: key.map(str::to_owned),
            on_durable: Box::new(move |how| drop(tell.send(how))),
        };
        (self.sources.offer(&job(), &node(), offer), told)
    }

    /// Posts events: offers them and waits until they are durable.
    fn post(&self, key: Option<&str>, events: &[&str]) {
        let (answer, told) = self.offer(key, events);
        assert_eq!((answer, wait(&told)), (IngressAnswer::Taken, Ok(())));
    }
}

fn job() -> JobId {
    "job".parse().expect("an id")
}

fn node() -> NodeId {
    "posted".parse().expect("an id")
}

fn wait(told: &mpsc::Receiver<Result<(), PortError>>) -> Result<(), PortError> {
    told.recv_timeout(Duration::from_secs(20)).expect("told")
}

struct Opened {
    reader: Box<dyn SourceReader>,
    waker: Waker,
    rung: mpsc::Receiver<()>,
}

impl Opened {
    fn next(&mut self) -> Option<SourceBatch> {
        loop {
            match self.reader.poll_next(&mut Context::from_waker(&self.waker), BOUNDS) {
                Poll::Ready(next) => return next.expect("no error"),
                Poll::Pending => self.rung.recv_timeout(Duration::from_secs(20)).expect("woken"),
            }
        }
    }

    /// So many values, or all until the end.
    fn values(&mut self, count: usize) -> Vec<String> {
        let mut values = Vec::new();
        while values.len() < count {
            let Some(batch) = self.next() else { break };
            let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.expect("a value")).into_owned();
            values.extend(batch.events.values().iter().map(text));
        }
        values
    }

    fn is_pending(&mut self) -> bool {
        self.reader.poll_next(&mut Context::from_waker(&self.waker), BOUNDS).is_pending()
    }
}

#[test]
fn an_offer_that_is_durable_wakes_the_reader_and_is_read() {
    let host = Host::new();
    let mut opened = host.open(JSON, None);
    assert!(opened.is_pending());
    host.post(None, &["{\"a\":1}", "{"]);
    opened.rung.recv_timeout(Duration::from_secs(20)).expect("woken");
    let batch = opened.next().expect("two events");
    assert_eq!(batch.events.values().get(0), Some(&b"{\"a\":1}"[..]));
    assert!(batch.events.timestamps()[0] > 1_600_000_000_000, "the time of its arrival");
    assert_eq!((batch.undecodable[0].origin.as_str(), batch.undecodable[0].raw.as_slice()), ("posted:2", &b"{"[..]));
}

#[test]
fn what_was_acknowledged_comes_again_after_the_host_went_down() {
    let mut host = Host::new();
    let mut opened = host.open(RAW, None);
    host.post(None, &["a", "b", "c"]);
    host.post(None, &["d", "e", "f"]);
    assert_eq!(opened.values(4), ["a", "b", "c", "d"]);
    let positions = opened.reader.positions();
    let first = opened.next().expect("two events").events;
    drop(opened);
    for _ in 0..2 {
        host = host.again();
        let mut opened = host.open(RAW, Some(&positions));
        assert_eq!(opened.reader.positions(), positions);
        let again = opened.next().expect("two events").events;
        assert_eq!(again, first, "at the time at which they came");
    }
    let mut opened = host.open(RAW, None);
    host.post(None, &["g"]);
    assert_eq!(opened.values(7), ["a", "b", "c", "d", "e", "f", "g"]);
}

#[test]
fn golden_positions() {
    let host = Host::new();
    let mut opened = host.open(RAW, None);
    host.post(None, &["a"]);
    opened.values(1);
    let wanted = SplitPosition { split: "log".to_owned(), position: vec![1, 1, 0, 0, 0, 0, 0, 0, 0] };
    assert_eq!(opened.reader.positions(), [wanted]);
}

#[test]
fn the_same_events_under_the_same_key_are_taken_once_even_after_the_host_went_down() {
    let host = Host::new();
    let opened = host.open(RAW, None);
    host.post(Some("k1"), &["a"]);
    host.post(Some("k1"), &["a"]);
    host.post(Some("k2"), &["a"]);
    drop(opened);
    let host = host.again();
    let mut opened = host.open(RAW, None);
    host.post(Some("k1"), &["a"]);
    assert_eq!(host.offer(Some("k1"), &["b"]).0, IngressAnswer::KeyReused);
    host.post(None, &["end"]);
    assert_eq!(opened.values(3), ["a", "a", "end"]);
    assert!(opened.is_pending());
}

#[test]
fn offers_under_one_key_that_come_together_are_one() {
    let host = Host::new();
    let mut opened = host.open(RAW, None);
    let told: Vec<_> = (0..200).map(|_| host.offer(Some("k"), &["a"])).collect();
    for (answer, told) in told {
        assert_eq!((answer, wait(&told)), (IngressAnswer::Taken, Ok(())));
    }
    host.post(None, &["end"]);
    assert_eq!(opened.values(2), ["a", "end"]);
}

#[test]
fn a_full_buffer_takes_nothing_and_says_when_to_come_again() {
    let host = Host::new();
    let mut opened = host.open(r#"{"from": {"http": {"buffer": "300B"}}}"#, None);
    host.post(None, &["a", "b", "c"]);
    assert!(matches!(host.offer(None, &["d", "e"]).0, IngressAnswer::Full { retry_after_ms: 100..=10_000 }));
    assert_eq!(host.offer(None, &[&"f".repeat(300)]).0, IngressAnswer::TooLarge { buffer_bytes: 300 });
    assert_eq!(opened.values(3), ["a", "b", "c"]);
    host.post(None, &["d", "e"]);
    assert_eq!(opened.values(2), ["d", "e"]);
    assert!(matches!(host.offer(None, &[""; 5]).0, IngressAnswer::TooLarge { .. }), "empty events are bounded too");
}

#[test]
fn a_full_log_takes_nothing_until_a_checkpoint_lets_go_of_it() {
    let host = Host::new();
    let mut opened = host.open(r#"{"from": {"http": {"log": "2000B"}}}"#, None);
    let long = "x".repeat(700);
    host.post(None, &[&long]);
    host.post(None, &[&long]);
    assert_eq!(opened.values(2).len(), 2);
    assert!(matches!(host.offer(None, &[&long]).0, IngressAnswer::LogFull { .. }));
    opened.reader.forget_before(&opened.reader.positions());
    // The writer trims when it comes to it.
    let mut tries = std::iter::repeat_with(|| {
        std::thread::yield_now();
        host.offer(None, &[&long]).0
    });
    assert!(tries.by_ref().take(10_000_000).any(|answer| answer == IngressAnswer::Taken));
    assert_eq!(opened.values(1), [long]);
}

#[test]
fn a_job_that_stops_still_reads_every_event_that_was_acknowledged() {
    let host = Host::new();
    let opened = host.open(RAW, None);
    host.post(None, &["a", "b"]);
    drop(opened);
    let mut opened = host.open(RAW, None);
    let (_, told) = host.offer(None, &["c"]);
    assert!(opened.reader.stop(), "something is left");
    assert!(matches!(host.offer(None, &["d"]).0, IngressAnswer::Full { .. }));
    assert_eq!(opened.values(usize::MAX), ["a", "b", "c"]);
    assert_eq!(wait(&told), Ok(()));
    assert!(!opened.reader.stop(), "nothing is left");
}

#[test]
fn what_cannot_be_logged_is_refused_and_the_source_goes_on() {
    let host = Host::new();
    let mut opened = host.open(r#"{"from": {"http": {"log": "64KiB"}}}"#, None);
    host.post(None, &[&"x".repeat(20_000)]);
    // The next segment cannot be made.
    let folder = host.disk.path().join("ingest/job/0000000000000001/posted");
    std::os::unix::fs::symlink("/dev/full", folder.join("segment.tmp")).expect("linked");
    let (answer, told) = host.offer(Some("k"), &["y"]);
    let error = wait(&told).expect_err("no room");
    assert_eq!((answer, error.kind), (IngressAnswer::Taken, PortErrorKind::Retry));
    assert!(error.message.contains("cannot be written: No space left"), "{error}");
    host.post(Some("k"), &["y"]);
    assert_eq!(opened.values(2)[1], "y");
}

#[test]
fn a_source_is_known_while_its_reader_lives() {
    let host = Host::new();
    assert_eq!(host.offer(None, &["a"]).0, IngressAnswer::NoSuchSource);
    let opened = host.open(RAW, None);
    let error = host.try_open(1, RAW, None).err().expect("open already");
    assert_eq!(error.kind, PortErrorKind::Retry);
    drop(opened);
    assert_eq!(host.offer(None, &["a"]).0, IngressAnswer::NoSuchSource);
    host.open(RAW, None);
}

#[test]
fn a_log_that_lacks_what_was_not_read_is_told() {
    let host = Host::new();
    let mut opened = host.open(RAW, None);
    host.post(None, &["a"]);
    opened.values(1);
    let positions = opened.reader.positions();
    drop(opened);
    std::fs::remove_dir_all(host.disk.path().join("ingest")).expect("there");
    let error = host.try_open(1, RAW, Some(&positions)).err().expect("lost");
    assert_eq!(error.kind, PortErrorKind::Fatal);
    assert!(error.message.contains("1 posted events were read, and the log in"), "{error}");
    assert!(error.message.contains("has only 0"), "{error}");
}

#[test]
fn another_run_begins_with_an_empty_log_and_a_deleted_job_leaves_nothing() {
    let host = Host::new();
    let opened = host.open(RAW, None);
    host.post(Some("k"), &["a"]);
    drop(opened);
    let mut opened = host.try_open(2, RAW, None).expect("it opens");
    assert!(opened.is_pending());
    host.post(Some("k"), &["b"]);
    assert_eq!(opened.values(1), ["b"]);
    drop(opened);
    let logs = host.disk.path().join("ingest/job");
    assert_eq!(logs.read_dir().expect("there").count(), 1, "that of the first run is gone");
    host.sources.forget_job(&job()).expect("removed");
    assert!(!logs.exists());
    host.sources.forget_job(&job()).expect("nothing is there");
}

/// Files of a savepoint, in a folder.
struct Folder(tempfile::TempDir);

impl FileStore for Folder {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        let Content::File(from) = content else { panic!("a tail is a file") };
        let bytes = std::fs::read(from).expect("it is there");
        let file = FileRef { attempt: AttemptId(1), number: 1, hash: FileHash::of(&bytes), bytes: bytes.len() as u64 };
        std::fs::rename(from, self.0.path().join("stored")).expect("moved");
        Ok(file)
    }

    fn open(&self, _: &FileRef) -> Result<PathBuf, PortError> {
        Ok(self.0.path().join("stored"))
    }

    fn scratch(&self) -> &Path {
        self.0.path()
    }
}

#[test]
fn a_tail_takes_what_was_not_read_and_all_keys_into_a_log_elsewhere() {
    let here = Host::new();
    let mut opened = here.open(RAW, None);
    here.post(Some("k1"), &["a", "b"]);
    here.post(Some("k2"), &["c", "d", "e"]);
    assert_eq!(opened.values(4), ["a", "b", "c", "d"]);
    let stands = opened.reader.positions();
    here.post(None, &["f"]);
    // What was acknowledged is in it; what comes later is told to come again.
    opened.reader.hold(true);
    assert!(matches!(here.offer(None, &["late"]).0, IngressAnswer::Full { .. }));
    let folder = Folder(tempfile::tempdir().expect("a folder"));
    let tail = here.sources.tail((&job(), RunId(1), &node()), &stands, &folder).expect("stored").expect("a tail");
    assert_eq!(tail.events, 2);
    opened.reader.hold(false);
    here.post(None, &["not in it"]);

    let there = Host::new();
    let stored = folder.open(&tail.file).expect("there");
    let adopt = |host: &Host| host.sources.adopt_tail(&job(), RunId(7), &node(), &stored).expect("laid down");
    adopt(&there);
    let mut opened = there.try_open(7, RAW, Some(&stands)).expect("it opens");
    assert_eq!(opened.values(2), ["e", "f"]);
    there.post(Some("k1"), &["a", "b"]);
    there.post(Some("k2"), &["c", "d", "e"]);
    there.post(None, &["g"]);
    assert_eq!(opened.values(1), ["g"], "the same under the same key is known there too");
    drop(opened);
    // Another attempt, before there is a checkpoint: what came meanwhile stays.
    adopt(&there);
    let mut opened = there.try_open(7, RAW, Some(&stands)).expect("it opens");
    assert_eq!(opened.values(3), ["e", "f", "g"]);
    std::fs::write(&stored, "no tail").expect("written");
    let error = there.sources.adopt_tail(&job(), RunId(8), &node(), &stored).expect_err("no tail");
    assert!(error.message.contains("is no part of a log: its beginning is missing"), "{error}");
}
