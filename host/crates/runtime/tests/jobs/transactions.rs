//! The transaction is one operator's call, and a barrier comes behind the batch that is under way.

use gristmill_ports::catalog::JobState;
use gristmill_types::{CallFailure, CheckpointKind};

use crate::counting::{Outside, count};
use crate::fakes::Native;

/// Counts by key; then `check` takes the counts in, in the same subtasks.
const CHECKED: &str = "
sources: {in: {from: generator, parallelism: 1}}
operators:
  count: {module: count@1, parallelism: 2, inputs: {in: {from: in, key_by: $.k}}}
  check: {module: check@1, parallelism: 2, inputs: {in: {from: count}}}
sinks: {out: {inputs: [check], to: blackhole, parallelism: 2}}
checkpoint: {every: never}
restart: none
";

fn refusing(refused: &'static str) -> Native {
    Native::try_map(move |_, value| match value.ends_with(refused) {
        true => Err(CallFailure::BadRecord(format!("{value} is refused"))),
        false => Ok(value.to_owned()),
    })
}

#[test]
fn what_an_operator_did_stands_when_a_later_one_of_its_chain_refuses_the_event() {
    let outside = Outside::new(100);
    outside.tape.play(100);
    let world = outside.world();
    let job = world.operator("count", count()).operator("check", refusing("=3")).start(CHECKED);
    job.ends(JobState::Finished);
    let expected: Vec<String> = outside.tape.counted().into_iter().filter(|count| !count.ends_with("=3")).collect();
    assert_eq!(outside.book.sorted(), expected, "the third event of each key was counted all the same");
    let mut letters: Vec<String> = job.letters.briefly().into_iter().map(|(_, value)| value).collect();
    letters.sort_unstable();
    assert_eq!(letters, ["k0=3", "k1=3", "k2=3", "k3=3", "k4=3"]);
}

#[test]
fn a_barrier_waits_for_the_batch_that_is_bisected() {
    let outside = Outside::new(100);
    let world = outside.world();
    let job = world.operator("count", count()).operator("check", refusing("=3")).start(CHECKED);
    // Asked for at any moment: what it holds is whole batches, or the output of a batch would come twice or never.
    for until in (4..=100).step_by(4) {
        outside.tape.play(until);
        let _ = job.handle.checkpoint(CheckpointKind::Checkpoint);
        if until == 48 {
            job.handle.abandon();
            job.is_gone();
            break;
        }
    }
    outside.tape.play(100);
    let world = outside.world();
    let job = world.operator("count", count()).operator("check", refusing("=3")).resume_from(CHECKED, None);
    job.ends(JobState::Finished);
    let expected: Vec<String> = outside.tape.counted().into_iter().filter(|count| !count.ends_with("=3")).collect();
    assert_eq!(outside.book.sorted(), expected);
}
