use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use gristmill_dataflow::document::SourceKind;
use gristmill_ports::SourceBatch;
use gristmill_ports::source::ReadBounds;

use super::*;
use crate::fixture::{bell, part};

struct Opened {
    reader: Box<dyn SourceReader>,
    waker: Waker,
    rung: mpsc::Receiver<()>,
    _runtime: tokio::runtime::Runtime,
}

fn open_to(address: &str, rest: &str) -> Result<Opened, PortError> {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let context = part("lines");
    let spec = format!(r#"{{"from": {{"socket": {{"connect": "{address}"{rest}}}}}}}"#);
    let spec: SourceSpec = serde_json::from_str(&spec).expect("a good source");
    let SourceKind::Socket(socket) = &spec.from else { panic!("a socket source") };
    let reader = open(&context, &spec, socket, runtime.handle())?;
    let (waker, rung) = bell();
    Ok(Opened { reader, waker, rung, _runtime: runtime })
}

impl Opened {
    /// The next batch, waiting for it.
    fn next(&mut self) -> Result<Option<SourceBatch>, PortError> {
        let bounds = ReadBounds { max_rows: 10, max_bytes: 1 << 20, now_ms: 1 };
        loop {
            match self.reader.poll_next(&mut Context::from_waker(&self.waker), bounds) {
                Poll::Ready(next) => return next,
                Poll::Pending => self.rung.recv_timeout(Duration::from_secs(20)).expect("woken"),
            }
        }
    }

    /// So many values, or all until the end.
    fn values(&mut self, count: usize) -> Vec<String> {
        let mut values = Vec::new();
        while values.len() < count {
            let Some(batch) = self.next().expect("no error") else { break };
            values.extend(
                batch.events.values().iter().flatten().map(|value| String::from_utf8_lossy(value).into_owned()),
            );
            values.extend(batch.undecodable.iter().map(|letter| format!("{}: {}", letter.origin, letter.reason)));
        }
        values
    }
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, address)
}

#[test]
fn lines_come_until_the_peer_closes() {
    let (listener, address) = listen();
    let mut opened = open_to(&address, "").expect("a good address");
    let (mut peer, _) = listener.accept().expect("connected");
    peer.write_all(b"a\r\nb").expect("sent");
    assert_eq!(opened.values(1), ["a"]);
    peer.write_all(b"b\nlast").expect("sent");
    peer.shutdown(Shutdown::Both).expect("closed");
    assert_eq!(opened.values(usize::MAX), ["bb", "last"]);
}

#[test]
fn a_line_that_is_too_long_is_told_and_skipped() {
    let (listener, address) = listen();
    let mut opened = open_to(&address, r#", "max_line": "5B""#).expect("a good address");
    let (mut peer, _) = listener.accept().expect("connected");
    peer.write_all(b"12345\n123456\nx\n").expect("sent");
    drop(peer);
    let too_long = format!("{address}:2 (cut): the line is longer than 5 bytes; only its beginning is kept");
    let mut values = opened.values(usize::MAX);
    values.sort();
    assert_eq!(values, ["12345", &too_long, "x"]);
}

#[test]
fn a_peer_that_closed_is_called_again_if_the_job_says_so() {
    let (listener, address) = listen();
    let mut opened = open_to(&address, r#", "reconnect": "1ms""#).expect("a good address");
    for round in ["first", "second", "third"] {
        let (mut peer, _) = listener.accept().expect("connected");
        peer.write_all(round.as_bytes()).expect("sent");
        drop(peer);
        assert_eq!(opened.values(1), [round]);
    }
}

#[test]
fn a_full_queue_holds_the_peer_back() {
    let (listener, address) = listen();
    let mut opened = open_to(&address, "").expect("a good address");
    let (mut peer, _) = listener.accept().expect("connected");
    peer.set_write_timeout(Some(Duration::from_millis(200))).expect("set");
    let line = [vec![b'x'; 99_999].as_slice(), b"\n"].concat();
    let mut sent = 0;
    // More than the queue and every buffer of the system between: it must stop.
    let stopped = loop {
        match peer.write(&line[sent % line.len()..]) {
            Ok(bytes) => sent += bytes,
            Err(error) => break error,
        }
        assert!(sent < 200 << 20, "nothing holds the peer back");
    };
    assert!(matches!(stopped.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{stopped}");
    drop(peer);
    assert_eq!(opened.values(usize::MAX).len(), sent.div_ceil(line.len()), "and nothing is lost");
}

#[test]
fn a_peer_that_is_not_there_is_a_sentence() {
    let (listener, address) = listen();
    drop(listener);
    let mut opened = open_to(&address, "").expect("a good address");
    let error = opened.next().expect_err("nobody listens");
    assert!(error.message.contains("cannot connect") && error.message.contains(&address), "{error}");
    for address in ["nowhere", "host:port", "host:99999"] {
        assert!(open_to(address, "").err().expect(address).message.contains("is not an address"));
    }
}

#[test]
fn a_job_that_stops_still_gives_every_line_that_was_read() {
    let (listener, address) = listen();
    let mut opened = open_to(&address, "").expect("a good address");
    let (mut peer, _) = listener.accept().expect("connected");
    let lines: Vec<String> = (0..100).map(|line| line.to_string()).collect();
    // One segment, so one read; a batch of these tests has ten of them.
    peer.write_all((lines.join("\n") + "\n").as_bytes()).expect("sent");
    assert_eq!(opened.values(10), lines[..10]);
    assert!(opened.reader.stop(), "lines are left");
    assert_eq!(opened.values(usize::MAX), lines[10..]);
    assert!(!opened.reader.stop(), "nothing is left");
}

#[test]
fn a_peer_that_cannot_be_reached_is_told_and_called_again() {
    let (listener, address) = listen();
    drop(listener);
    let mut opened = open_to(&address, r#", "reconnect": "1ms""#).expect("a good address");
    let error = opened.next().expect_err("nobody listens");
    assert_eq!(error.kind, gristmill_ports::ErrorKind::Retry);
    assert!(error.message.contains("cannot connect") && error.message.contains("connecting again"), "{error}");
    let listener = TcpListener::bind(&address).expect("the port is free again");
    let (mut peer, _) = listener.accept().expect("connected");
    peer.write_all(b"back\n").expect("sent");
    let came = std::iter::repeat_with(|| opened.next()).find_map(Result::ok).flatten().expect("a batch");
    assert_eq!(came.events.values().get(0), Some(&b"back"[..]));
}

#[test]
fn waits_double_up_to_a_bound() {
    let second = Duration::from_secs(1);
    let waits: Vec<u64> = (0..8).map(|failures| backoff(second, failures).as_secs()).collect();
    assert_eq!(waits, [1, 1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(backoff(Duration::from_secs(60), 9).as_secs(), 60);
}
