//! Parallelism, batches and limits: numbers that must not be zero, nor beyond what a host can do.

use gristmill_types::Parallelism;

use crate::document::operator::EventVerdict;
use crate::document::{JobDocument, OperatorSpec};
use crate::problem::Problem;
use crate::quantity::Bytes;

/// Most subtasks of one task; each is a thread.
const MAX_PARALLELISM: u32 = 256;

/// Most events of a batch.
const MAX_ROWS: u32 = 1 << 20;

/// Most bytes of a batch: offsets in a column are 32 bits wide, and a batch is expanded at most once.
const MAX_BATCH: Bytes = Bytes::mib(1024);

/// A page of Wasm memory, the least an instance can have.
const WASM_PAGE: Bytes = Bytes::kib(64);

/// All that 32-bit Wasm can address.
const WASM_MEMORY: Bytes = Bytes::mib(4096);

pub(super) fn check(document: &JobDocument, problems: &mut Vec<Problem>) {
    parallelism(document, problems);
    batch(document, problems);
    for (id, operator) in &document.operators {
        limits(&format!("operators.{id}"), operator, problems);
    }
}

fn parallelism(document: &JobDocument, problems: &mut Vec<Problem>) {
    let own = |section: &str, id: &dyn std::fmt::Display, own: Option<Parallelism>| {
        own.map(|parallelism| (format!("{section}.{id}.parallelism"), parallelism))
    };
    let sources = document.sources.iter().filter_map(|(id, spec)| own("sources", id, spec.parallelism));
    let operators = document.operators.iter().filter_map(|(id, spec)| own("operators", id, spec.parallelism));
    let sinks = document.sinks.iter().filter_map(|(id, spec)| own("sinks", id, spec.parallelism));
    let job = std::iter::once(("parallelism".to_owned(), document.parallelism));
    let key_groups = document.max_parallelism.get();
    for (at, parallelism) in job.chain(sources).chain(operators).chain(sinks) {
        let parallelism = parallelism.get();
        if parallelism > MAX_PARALLELISM {
            let message = format!("{parallelism} subtasks are too many: at most {MAX_PARALLELISM}, each a thread");
            problems.push(Problem::error(at, message).hint("one for each core is a good number".to_owned()));
        } else if parallelism > key_groups {
            let message = format!("{parallelism} subtasks cannot share {key_groups} key groups");
            let hint = "raise `max_parallelism` before the job first runs, or lower this".to_owned();
            problems.push(Problem::error(at, message).hint(hint));
        }
    }
}

fn batch(document: &JobDocument, problems: &mut Vec<Problem>) {
    let batch = &document.batch;
    if !(1..=MAX_ROWS).contains(&batch.max_rows) {
        let message = format!("a batch cannot hold {} events", batch.max_rows);
        problems.push(Problem::error("batch.max_rows", message).hint(format!("write 1 to {MAX_ROWS}")));
    }
    for (at, bytes) in [("batch.max_bytes", batch.max_bytes), ("batch.channel_bytes", batch.channel_bytes)] {
        if !(Bytes(1)..=MAX_BATCH).contains(&bytes) {
            let message = format!("`{bytes}` leaves no room, or too much");
            problems.push(Problem::error(at, message).hint(format!("write 1 byte to {MAX_BATCH}")));
        }
    }
    if batch.channel_bytes < batch.max_bytes {
        let message = format!("a channel of {} cannot hold a batch of {}", batch.channel_bytes, batch.max_bytes);
        let hint = "make it at least `batch.max_bytes`, or batches wait for one another".to_owned();
        problems.push(Problem::warning("batch.channel_bytes", message).hint(hint));
    }
}

fn limits(at: &str, operator: &OperatorSpec, problems: &mut Vec<Problem>) {
    let limits = &operator.limits;
    if !(WASM_PAGE..=WASM_MEMORY).contains(&limits.memory) {
        let message = format!("an instance cannot live in {} of memory", limits.memory);
        let hint = format!("write {WASM_PAGE} to {WASM_MEMORY}");
        problems.push(Problem::error(format!("{at}.limits.memory"), message).hint(hint));
    }
    if limits.call.0.is_zero() {
        let message = "no call can be over in no time";
        problems.push(Problem::error(format!("{at}.limits.call"), message).hint("write such as 5s".to_owned()));
    }
    if limits.output == Bytes(0) {
        let message = "no call could return anything";
        problems.push(Problem::error(format!("{at}.limits.output"), message).hint("write such as 64MiB".to_owned()));
    }
    let policy = &operator.on_failure;
    if policy.broken_after == 0 {
        let hint = "write 1 or more: faulty events in a row".to_owned();
        let message = "the operator would be broken before its first event";
        problems.push(Problem::error(format!("{at}.on_failure.broken_after"), message).hint(hint));
    }
    match policy.transient.then {
        EventVerdict::FailJob | EventVerdict::DeadLetter => {}
        EventVerdict::Skip => {
            let message = "a batch for which the world is not ready is not skipped";
            let hint = "write fail-job or dead-letter".to_owned();
            problems.push(Problem::error(format!("{at}.on_failure.transient.then"), message).hint(hint));
        }
    }
}
