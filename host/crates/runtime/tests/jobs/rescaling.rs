//! The same job goes on with other numbers of subtasks: its committed output is as if nothing had happened.

use gristmill_ports::catalog::JobState;
use gristmill_types::{CheckpointId, CheckpointKind};
use proptest::prelude::*;

use crate::counting::{Outside, checkpoint, count};
use crate::fakes::{Native, Running, Tape};

const EVENTS: usize = 400;

fn outside() -> Outside {
    Outside { tape: Tape::new(EVENTS, 37), ..Outside::new(EVENTS) }
}

/// How many subtasks the nodes behind the source have.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    pass: u32,
    count: u32,
    out: u32,
}

impl Spread {
    fn of(count: u32) -> Self {
        Self { pass: 1, count, out: 2 }
    }

    fn document(self) -> String {
        let Self { pass, count, out } = self;
        format!(
            "
sources: {{in: {{from: generator, parallelism: 1}}}}
operators:
  pass: {{module: pass@1, parallelism: {pass}, inputs: {{in: {{from: in, key_by: $.k}}}}}}
  count: {{module: count@1, parallelism: {count}, inputs: {{in: {{from: pass, key_by: $.k}}}}}}
sinks: {{out: {{inputs: [count], to: blackhole, parallelism: {out}}}}}
checkpoint: {{every: never}}
restart: {{fixed: {{delay: 1ms, attempts: 1000}}}}
"
        )
    }
}

fn start(outside: &Outside, spread: Spread) -> Running {
    let pass = Native::map(|_, value| value.to_owned());
    outside.world().operator("pass", pass).operator("count", count()).start(&spread.document())
}

/// How a job leaves the stage for its successor.
#[derive(Debug, Clone, Copy)]
enum Exit {
    /// Behind a last checkpoint.
    Suspended,
    /// With work that no checkpoint has.
    Crashed,
    /// The same, while a checkpoint is under way.
    CrashedInACheckpoint,
}

fn leaves(job: &Running, exit: Exit) {
    match exit {
        Exit::Suspended => job.handle.suspend(),
        Exit::Crashed => job.handle.abandon(),
        Exit::CrashedInACheckpoint => {
            drop(job.handle.checkpoint(CheckpointKind::Checkpoint));
            job.handle.abandon();
        }
    }
    job.is_gone();
}

#[test]
fn one_three_sixteen_two_and_one_subtasks_count_what_one_would_have() {
    let outside = outside();
    let spreads = [1, 3, 16, 2, 1].map(Spread::of);
    let mut until = 0;
    for (place, spread) in spreads.into_iter().enumerate() {
        let job = start(&outside, spread);
        let restored = job.handle.checkpoints().restored;
        let before = Some(CheckpointId(place as u64)).filter(|_| place > 0);
        assert_eq!(restored, before, "each goes on from the one before");
        until += 30;
        outside.tape.play(until);
        outside.tape.wait_reached(until);
        checkpoint(&job);
        // Done again, in other subtasks.
        until += 30;
        outside.tape.play(until);
        outside.tape.wait_reached(until);
        leaves(&job, Exit::Crashed);
    }
    outside.tape.play(EVENTS);
    start(&outside, Spread::of(5)).ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(outside.book.staged(), 0);
}

#[test]
fn counters_of_subtasks_that_are_no_more_are_counted_on() {
    let outside = outside();
    outside.tape.play(100);
    let job = start(&outside, Spread::of(4));
    outside.tape.wait_reached(100);
    leaves(&job, Exit::Suspended);
    let job = start(&outside, Spread::of(1));
    let events_in = |name: &str| {
        let report = job.handle.report();
        report.nodes.iter().find(|node| node.id.as_str() == name).unwrap().total.events_in
    };
    assert_eq!((events_in("pass"), events_in("count")), (100, 100));
    outside.tape.play(EVENTS);
    job.ends(JobState::Finished);
    assert_eq!(events_in("count"), EVENTS as u64);
}

fn exits() -> impl Strategy<Value = Exit> {
    prop_oneof![Just(Exit::Suspended), Just(Exit::Crashed), Just(Exit::CrashedInACheckpoint)]
}

prop_compose! {
    fn spreads()(pass in 1u32..4, count in 1u32..9, out in 1u32..4) -> Spread {
        Spread { pass, count, out }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 50, ..ProptestConfig::default() })]
    #[test]
    fn however_it_is_rescaled_its_committed_output_is_as_if_nothing_had_happened(
        acts in prop::collection::vec((spreads(), 0usize..60, any::<bool>(), 0usize..60, exits()), 1..7),
        fails in prop::option::of(2u64..4),
    ) {
        let outside = outside();
        fails.into_iter().for_each(|every| outside.book.fails_every(every));
        let mut until = 0;
        let play = |until: &mut usize, more: usize| {
            *until = (*until + more).min(EVENTS - 1);
            outside.tape.play(*until);
            outside.tape.wait_reached(*until);
        };
        for (spread, before, is_stored, after, exit) in acts {
            let job = start(&outside, spread);
            play(&mut until, before);
            if is_stored {
                checkpoint(&job);
            }
            play(&mut until, after);
            leaves(&job, exit);
        }
        outside.tape.play(EVENTS);
        start(&outside, Spread::of(2)).ends(JobState::Finished);
        prop_assert_eq!(outside.book.sorted(), outside.tape.counted());
        prop_assert_eq!(outside.book.staged(), 0);
    }
}
