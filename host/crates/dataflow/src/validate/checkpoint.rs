//! Checkpoints and restarts: numbers that make no sense together.

use std::time::Duration;

use crate::document::{Backend, CheckpointSpec, JobDocument, RestartSpec};
use crate::problem::Problem;
use crate::quantity::Bytes;

/// More often than this, a job makes checkpoints and little else.
const MOST_OFTEN: Duration = Duration::from_millis(10);

/// Whoever writes more means never, and sums of times must not run over.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// So many checkpoints may be kept: each start reads them all.
const MOST_KEPT: u64 = 1000;

/// Less would hold hardly more than what one checkpoint freezes.
const LEAST_MEMORY: Bytes = Bytes::mib(1);

/// More than any machine addresses: whoever writes it has mistaken the unit.
const MOST_MEMORY: Bytes = Bytes::mib(256 << 20);

pub(super) fn check(document: &JobDocument, problems: &mut Vec<Problem>) {
    let spec = &document.checkpoint;
    let mut refuse = |at: &str, message: String, hint: String| problems.push(Problem::error(at, message).hint(hint));
    if spec.every.0.is_some_and(|every| every < MOST_OFTEN) {
        let message = "the job would do nothing but make checkpoints".to_owned();
        refuse("checkpoint.every", message, "write 10ms or more, or never".to_owned());
    }
    if spec.timeout.0.is_zero() {
        let message = "no checkpoint is complete in no time".to_owned();
        refuse("checkpoint.timeout", message, "write such as 10m".to_owned());
    }
    if !(1..=MOST_KEPT).contains(&spec.keep) {
        let message = format!("{} checkpoints cannot be kept", spec.keep);
        refuse("checkpoint.keep", message, format!("write 1 to {MOST_KEPT}"));
    }
    memory(spec, &mut refuse);
    for (at, span) in spans(document) {
        if span > LONGEST {
            let message = "nobody waits for longer than ten years".to_owned();
            let hint = if at == "checkpoint.every" { "write at most 87600h, or never" } else { "write at most 87600h" };
            refuse(at, message, hint.to_owned());
        }
    }
    match &document.restart {
        RestartSpec::Exponential(spec) => {
            if !(0.0..=1.0).contains(&spec.jitter) {
                let message = format!("a wait cannot change by {} of itself", spec.jitter);
                refuse("restart.exponential.jitter", message, "write 0 to 1".to_owned());
            }
            if spec.from > spec.to {
                let message = "the first wait is longer than the longest".to_owned();
                refuse("restart.exponential.from", message, "make it at most `to`".to_owned());
            }
        }
        RestartSpec::Fixed(_) | RestartSpec::FailureRate(_) | RestartSpec::None(_) => {}
    }
    if spec.backend == Backend::Memory && spec.memory != CheckpointSpec::default().memory && spec.memory <= MOST_MEMORY
    {
        let message = "with `backend: memory` all state is in memory, whatever is written here".to_owned();
        let hint = "write `backend: rocksdb`, or leave it out".to_owned();
        problems.push(Problem::warning("checkpoint.memory", message).hint(hint));
    }
}

fn memory(spec: &CheckpointSpec, refuse: &mut impl FnMut(&str, String, String)) {
    let (at, hint) = ("checkpoint.memory", format!("write {LEAST_MEMORY} to {MOST_MEMORY}"));
    if spec.memory > MOST_MEMORY {
        refuse(at, format!("no machine has {}", spec.memory), hint);
    } else if spec.backend == Backend::Rocksdb && spec.memory < LEAST_MEMORY {
        let bytes = if spec.memory == Bytes(0) { "0 bytes".to_owned() } else { spec.memory.to_string() };
        refuse(at, format!("{bytes} hold no state to speak of"), hint);
    }
}

/// All lengths of time of these sections, each with its place.
fn spans(document: &JobDocument) -> Vec<(&'static str, Duration)> {
    let JobDocument { checkpoint, restart, .. } = document;
    let mut spans =
        vec![("checkpoint.min_pause", checkpoint.min_pause.0), ("checkpoint.timeout", checkpoint.timeout.0)];
    spans.extend(checkpoint.every.0.map(|every| ("checkpoint.every", every)));
    match restart {
        RestartSpec::Exponential(spec) => spans.extend([
            ("restart.exponential.from", spec.from.0),
            ("restart.exponential.to", spec.to.0),
            ("restart.exponential.reset_after", spec.reset_after.0),
        ]),
        RestartSpec::Fixed(spec) => spans.push(("restart.fixed.delay", spec.delay.0)),
        RestartSpec::FailureRate(spec) => {
            spans
                .extend([("restart.failure-rate.within", spec.within.0), ("restart.failure-rate.delay", spec.delay.0)]);
        }
        RestartSpec::None(_) => {}
    }
    spans
}
