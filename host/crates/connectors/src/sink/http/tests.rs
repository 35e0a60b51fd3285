use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use gristmill_ports::{ErrorKind, Signal};
use gristmill_types::CheckpointId;

use super::*;
use crate::fixture::part;

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    key: String,
    body: String,
    head: String,
}

/// A server that gives these answers in order, one to a request, and tells what it got.
fn serve(answers: Vec<&'static str>) -> (String, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/in?token=secret", listener.local_addr().expect("bound"));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut peer, _) = listener.accept().expect("connected");
            tell.send(read_request(&peer)).ok();
            let answer = answer.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
            peer.write_all(answer.as_bytes()).expect("answered");
        }
    });
    (url, told)
}

fn read_request(peer: &TcpStream) -> Got {
    let mut lines = BufReader::new(peer);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        lines.read_line(&mut head).expect("a head");
    }
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(name)).unwrap_or_default();
        line.split_once(": ").map_or(String::new(), |(_, value)| value.to_owned())
    };
    let mut body = vec![0; header("content-length").parse().expect("a length")];
    lines.read_exact(&mut body).expect("a body");
    Got { key: header("idempotency-key"), body: String::from_utf8(body).expect("text"), head: head.to_lowercase() }
}

struct Opened {
    sink: Box<dyn Sink>,
    cancelled: Signal,
    _runtime: tokio::runtime::Runtime,
}

fn open_to(url: &str, rest: &str) -> Result<Opened, PortError> {
    open_at(url, rest, None)
}

fn open_at(url: &str, rest: &str, resume: Option<&[u8]>) -> Result<Opened, PortError> {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let cancelled = Signal::default();
    let context = PartContext { cancelled: cancelled.clone(), ..part("hook") };
    let spec = serde_json::from_str(&format!(r#"{{"url": "{url}"{rest}}}"#)).expect("a good sink");
    let sink = open(&context, &spec, resume, runtime.handle().clone())?;
    Ok(Opened { sink, cancelled, _runtime: runtime })
}

fn batch(values: std::ops::Range<u32>) -> EventBatch {
    let mut events = EventBatch::default();
    values.for_each(|value| events.push(0, None, Some(value.to_string().as_bytes())));
    events
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

#[test]
fn events_are_posted_in_batches_of_lines() {
    let (url, told) = serve(vec![OK, OK, OK]);
    let mut opened = open_to(&url, r#", "batch": 2, "headers": {"X-Who": "me"}"#).expect("good");
    opened.sink.write(&batch(0..3)).expect("taken");
    opened.sink.write(&batch(3..5)).expect("taken");
    let summary = opened.sink.finish().expect("sent").expect("a summary");
    assert_eq!((summary.events, summary.bytes), (5, 5));
    let got: Vec<Got> = told.iter().collect();
    assert_eq!(got.iter().map(|got| got.body.as_str()).collect::<Vec<_>>(), ["0\n1\n", "2\n3\n", "4\n"]);
    assert!(got[0].head.contains("x-who: me") && got[0].head.contains("content-type: application/x-ndjson"));
    let keys: Vec<&str> = got.iter().map(|got| got.key.as_str()).collect();
    let run = "job/0000000000000001/hook/0";
    let key = |first: u32, body: &str| format!("{run}/{first}/{:032x}", xxhash_rust::xxh3::xxh3_128(body.as_bytes()));
    assert_eq!(keys, [key(0, "0\n1\n"), key(2, "2\n3\n"), key(4, "4\n")], "another run has other keys");
}

#[test]
fn a_request_has_the_same_key_after_a_restart_and_one_that_differs_has_another() {
    let (url, told) = serve(vec![OK; 6]);
    let batches = r#", "batch": 2"#;
    let mut opened = open_to(&url, batches).expect("good");
    opened.sink.write(&batch(0..2)).expect("taken");
    assert!(opened.sink.pre_commit(CheckpointId(1)).expect("sent").is_none(), "there is nothing to commit");
    let position = opened.sink.position();
    opened.sink.write(&batch(2..5)).expect("taken");
    opened.sink.flush().expect("sent");

    let mut again = open_at(&url, batches, Some(&position)).expect("good");
    again.sink.write(&batch(2..4)).expect("taken");
    again.sink.write(&batch(4..6)).expect("taken");
    let summary = again.sink.finish().expect("sent").expect("a summary");
    assert_eq!((summary.events, summary.bytes), (6, 6), "what came before the checkpoint counts too");
    let got: Vec<Got> = told.iter().take(5).collect();
    assert_eq!(
        got.iter().map(|got| got.body.as_str()).collect::<Vec<_>>(),
        ["0\n1\n", "2\n3\n", "4\n", "2\n3\n", "4\n5\n"]
    );
    assert_eq!(got[1].key, got[3].key, "the same request");
    assert_ne!(got[2].key, got[4].key, "`5` must not be taken for something that was sent before");
}

#[test]
fn a_request_that_failed_is_sent_again_under_its_name_and_the_caller_knows_what_was_taken() {
    let (url, told) = serve(vec![BUSY, "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", OK, OK]);
    let mut opened = open_to(&url, r#", "batch": 2"#).expect("good");
    opened.sink.write(&batch(0..2)).expect("taken");
    let error = opened.sink.write(&batch(2..3)).expect_err("the peer is busy: nothing of this batch was taken");
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("answered 503") && !error.message.contains("secret"), "{error}");
    assert_eq!(opened.sink.flush().expect_err("still busy").kind, ErrorKind::Retry);
    opened.sink.write(&batch(2..3)).expect("taken");
    opened.sink.finish().expect("sent");
    let got: Vec<Got> = told.iter().collect();
    assert_eq!(got.iter().map(|got| got.body.as_str()).collect::<Vec<_>>(), ["0\n1\n", "0\n1\n", "0\n1\n", "2\n"]);
    assert!(got[0].key == got[1].key && got[1].key == got[2].key && got[2].key != got[3].key);
}

#[test]
fn a_peer_that_names_a_time_is_left_alone_until_then() {
    let (url, told) = serve(vec!["HTTP/1.1 503 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n"]);
    let mut opened = open_to(&url, r#", "retry": 3"#).expect("good");
    opened.sink.write(&batch(0..1)).expect("taken");
    opened.sink.flush().expect_err("busy");
    for _ in 0..10 {
        let error = opened.sink.flush().expect_err("not yet");
        assert!(error.kind == ErrorKind::Retry && error.message.contains("asks to wait"), "{error}");
    }
    assert_eq!(told.iter().count(), 1);
}

#[test]
fn tries_come_to_an_end() {
    let (url, _told) = serve(vec![BUSY, BUSY, BUSY]);
    let mut opened = open_to(&url, r#", "retry": 2"#).expect("good");
    opened.sink.write(&batch(0..1)).expect("taken");
    for kind in [ErrorKind::Retry, ErrorKind::Retry, ErrorKind::GivenUp] {
        let error = opened.sink.flush().expect_err("busy");
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[test]
fn a_refusal_is_final_and_says_what_the_peer_said() {
    let (url, _told) = serve(vec!["HTTP/1.1 422 Unprocessable\r\ncontent-length: 12\r\n\r\nno such\nhook"]);
    let mut opened = open_to(&url, "").expect("good");
    opened.sink.write(&batch(0..1)).expect("taken");
    let error = opened.sink.flush().expect_err("refused");
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(error.message.contains("422") && error.message.contains("`no such hook`"), "{error}");
}

#[test]
fn a_peer_that_has_moved_is_named_and_nothing_passes_for_taken() {
    for (status, location, words) in [
        ("301 Moved Permanently", "location: /new/hook?token=secret\r\n", "/new/hook`; write the URL"),
        ("307 Temporary Redirect", "location: https://b.example/x\r\n", "points to `https://b.example/x`"),
        ("304 Not Modified", "", "answered 304 Not Modified; write the URL"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\n{location}content-length: 0\r\n\r\n");
        // Whoever follows finds a peer that takes everything.
        let (url, told) = serve(vec![answer.leak(), OK]);
        let mut opened = open_to(&url, "").expect("good");
        opened.sink.write(&batch(0..1)).expect("taken");
        let error = opened.sink.flush().expect_err("nobody took the event");
        assert_eq!(error.kind, ErrorKind::Fatal);
        assert!(error.message.contains(words) && !error.message.contains("secret"), "{error}");
        assert_eq!(told.try_iter().count(), 1, "nothing goes where the job does not say");
    }
}

#[test]
fn a_peer_that_is_not_there_may_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    drop(listener);
    let mut opened = open_to(&url, "").expect("good");
    opened.sink.write(&batch(0..1)).expect("taken");
    let error = opened.sink.flush().expect_err("nobody listens");
    assert!(error.kind == ErrorKind::Retry && error.message.contains("cannot be reached"), "{error}");
}

#[test]
fn a_silent_peer_does_not_hold_up_the_cancelling_of_a_job() {
    // The connection is taken by the system; nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let mut opened = open_to(&url, r#", "timeout": "25s""#).expect("good");
    opened.sink.write(&batch(0..1)).expect("taken");
    let cancelled = opened.cancelled.clone();
    let canceller = std::thread::spawn(move || {
        let (peer, _) = listener.accept().expect("connected");
        read_request(&peer);
        cancelled.raise();
        (Instant::now(), peer)
    });
    let error = opened.sink.flush().expect_err("nobody answered");
    let (since, _peer) = canceller.join().expect("cancelled");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert!(error.kind == ErrorKind::Retry && error.message.contains("cancelled"), "{error}");
}

#[test]
fn what_is_no_url_or_header_is_refused_without_telling_secrets() {
    for (url, rest, words) in [
        ("nowhere", "", "is not a url"),
        ("ftp://secret", "", "neither http://"),
        ("http://a", r#", "headers": {"a b": "secret"}"#, "`a b` is not a header name"),
        ("http://a", r#", "headers": {"a": "secret\n"}"#, "the value of the header `a`"),
        ("http://a", r#", "batch": 0"#, "`batch` is 0"),
    ] {
        let error = open_to(url, rest).err().expect(words);
        assert!(error.message.contains(words) && !error.message.contains("secret"), "{error}");
    }
}
