//! What a durable post costs: how many are acknowledged in a second by how many clients at once, each posting one event of
//! a hundred bytes and waiting until it is on the disk.
//!
//! `cargo run --release -p gristmill-connectors --example posts [folder on the disk to measure]`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use gristmill_connectors::Connectors;
use gristmill_dataflow::document::SourceSpec;
use gristmill_ports::ingress::{Ingress, IngressAnswer, Offer};
use gristmill_ports::parts::PartContext;
use gristmill_ports::source::ReadBounds;
use gristmill_ports::{Signal, SourceReader};
use gristmill_types::{AttemptId, JobId, MaxParallelism, NodeId, Parallelism, RunId, SubtaskIndex};

const RUN: Duration = Duration::from_secs(3);

fn main() {
    let disk = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    for clients in [1, 16, 256, 1024] {
        measure(&disk, clients);
    }
}

fn measure(disk: &Path, clients: usize) {
    let folder = tempfile::tempdir_in(disk).expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let connectors = Connectors::new(runtime.handle().clone(), folder.path());
    let mut reader = open(&connectors, folder.path());
    let ingress = connectors.ingress();
    let (acknowledged, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (job, source) = (job(), source());
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    acknowledged.fetch_add(u64::from(post(&*ingress, &job, &source)), Ordering::Relaxed);
                }
            });
        }
        while begin.elapsed() < RUN {
            let bounds = ReadBounds { max_rows: 4096, max_bytes: 1 << 20, now_ms: 0 };
            match reader.poll_next(&mut Context::from_waker(Waker::noop()), bounds) {
                Poll::Ready(read) => drop(read.expect("no error")),
                Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let rate = acknowledged.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    println!("{clients:>5} clients  {rate:>8.0} posts/s acknowledged");
}

/// Whether the post was acknowledged.
fn post(ingress: &dyn Ingress, job: &JobId, source: &NodeId) -> bool {
    let (tell, told) = mpsc::sync_channel(1);
    let on_durable = Box::new(move |how: Result<(), _>| {
        tell.send(how.is_ok()).ok();
    });
    let offer = Offer { events: vec![vec![b'x'; 100]], idempotency_key: None, on_durable };
    match ingress.offer(job, source, offer) {
        IngressAnswer::Taken => told.recv().is_ok_and(|is_durable| is_durable),
        IngressAnswer::Full { retry_after_ms } | IngressAnswer::LogFull { retry_after_ms } => {
            std::thread::sleep(Duration::from_millis(retry_after_ms));
            false
        }
        IngressAnswer::TooLarge { .. } | IngressAnswer::KeyReused | IngressAnswer::NoSuchSource => false,
    }
}

fn open(connectors: &Connectors, base: &Path) -> Box<dyn SourceReader> {
    let context = PartContext {
        job: job(),
        run: RunId(1),
        attempt: AttemptId(1),
        node: source(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::ONE,
        max_parallelism: MaxParallelism::DEFAULT,
        layer: 0,
        cancelled: Signal::default(),
    };
    let spec: SourceSpec = serde_json::from_str(r#"{"from": {"http": {}}}"#).expect("a good source");
    connectors.source(&context, &spec, None, base).expect("it opens")
}

fn job() -> JobId {
    "posts".parse().expect("an id")
}

fn source() -> NodeId {
    "posted".parse().expect("an id")
}
