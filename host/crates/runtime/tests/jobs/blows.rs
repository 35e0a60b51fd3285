//! Whatever happens to a job, its committed output is as if nothing had.

use gristmill_ports::catalog::JobState;
use gristmill_types::CheckpointKind;
use proptest::prelude::*;

use crate::counting::{Outside, checkpoint, count};
use crate::fakes::{Native, Running};

/// What happens to a job, from outside.
#[derive(Debug, Clone)]
enum Blow {
    Play(usize),
    Checkpoint,
    /// A checkpoint is asked for and nobody waits for it.
    CheckpointUnderWay,
    Crash,
    Restart,
    Suspend,
    OutOfReach,
}

fn blows() -> impl Strategy<Value = Vec<Blow>> {
    let blow = prop_oneof![
        4 => (1usize..60).prop_map(Blow::Play),
        3 => Just(Blow::Checkpoint),
        3 => Just(Blow::CheckpointUnderWay),
        3 => Just(Blow::Crash),
        1 => Just(Blow::Restart),
        1 => Just(Blow::Suspend),
        1 => Just(Blow::OutOfReach),
    ];
    prop::collection::vec(blow, 0..25)
}

/// Plays all blows to a job, and then lets it come to its end.
fn survive(outside: &Outside, start: impl Fn() -> Running, blows: Vec<Blow>) {
    let mut job = start();
    let mut until = 0;
    for blow in blows {
        match blow {
            Blow::Play(more) => {
                until = (until + more).min(399);
                outside.tape.play(until);
                outside.tape.wait_reached(until);
            }
            Blow::Checkpoint => drop(checkpoint(&job)),
            Blow::CheckpointUnderWay => drop(job.handle.checkpoint(CheckpointKind::Checkpoint)),
            Blow::Crash => {
                job.handle.abandon();
                job.is_gone();
                job = start();
            }
            Blow::Restart => drop(job.handle.restart()),
            Blow::Suspend => {
                job.handle.suspend();
                job.is_gone();
                job = start();
            }
            Blow::OutOfReach => {
                outside.store.out_of_reach(true);
                drop(job.handle.checkpoint(CheckpointKind::Checkpoint));
                outside.store.out_of_reach(false);
            }
        }
    }
    outside.tape.play(400);
    job.ends(JobState::Finished);
}

/// Operators between the source and the one that counts: how many subtasks each has, and whether it is keyed.
type Between = Vec<(u32, bool)>;

fn graph(between: &Between, counting: u32) -> String {
    let mut operators = String::new();
    let mut from = "in".to_owned();
    for (place, (parallelism, keyed)) in between.iter().enumerate() {
        let key_by = if *keyed { ", key_by: $.k" } else { "" };
        operators.push_str(&format!(
            "  p{place}: {{module: p@1, parallelism: {parallelism}, inputs: {{in: {{from: {from}{key_by}}}}}}}\n"
        ));
        from = format!("p{place}");
    }
    format!(
        "
sources: {{in: {{from: generator, parallelism: 1}}}}
operators:
{operators}  count: {{module: count@1, parallelism: {counting}, inputs: {{in: {{from: {from}, key_by: $.k}}}}}}
sinks: {{out: {{inputs: [count], to: blackhole, parallelism: 1}}}}
checkpoint: {{every: never}}
restart: {{fixed: {{delay: 1ms, attempts: 1000}}}}
"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 50, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_graph_its_committed_output_is_as_if_nothing_had_happened(
        blows in blows(),
        between in prop::collection::vec((1u32..4, any::<bool>()), 0..4),
        counting in 1u32..4,
    ) {
        let outside = Outside::new(400);
        let document = graph(&between, counting);
        let start = || {
            let world = outside.world().operator("count", count());
            let pass = |place| (format!("p{place}"), Native::map(|_, value| value.to_owned()));
            let world = (0..between.len()).map(pass).fold(world, |world, (id, pass)| world.operator(&id, pass));
            world.start(&document)
        };
        survive(&outside, start, blows);
        prop_assert_eq!(outside.book.sorted(), outside.tape.counted());
        prop_assert_eq!(outside.book.staged(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 50, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_committed_output_is_as_if_nothing_had(blows in blows(), fails in prop::option::of(2u64..4)) {
        let outside = Outside::new(400);
        fails.into_iter().for_each(|every| outside.book.fails_every(every));
        survive(&outside, || outside.start(), blows);
        prop_assert_eq!(outside.book.sorted(), outside.tape.counted());
        let committed = outside.book.committed();
        for key in 0..5 {
            let of_key = committed.iter().filter_map(|one| one.strip_prefix(&format!("k{key}=")));
            let counts: Vec<u64> = of_key.map(|count| count.parse().unwrap()).collect();
            prop_assert!(counts.is_sorted(), "out of order for key {}: {:?}", key, counts);
        }
        prop_assert_eq!(outside.book.staged(), 0);
    }
}
