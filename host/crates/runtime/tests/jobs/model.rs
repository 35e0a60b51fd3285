//! Random jobs against a model that has no threads, no batches and no failures: only what becomes of each event.

use gristmill_ports::catalog::JobState;
use gristmill_types::CallFailure;
use gristmill_types::failure::{FaultKind, GuestFault};
use proptest::prelude::*;

use crate::fakes::{Feed, Native, Step, World, events};

/// One operator of a chain.
#[derive(Debug, Clone)]
struct Stage {
    parallelism: u32,
    keyed: bool,
    /// Which numbers it cannot stand.
    bad: u32,
    trapping: u32,
}

/// What an operator does with an event, or why not.
enum Fate {
    Passes(String),
    IsBad,
    Traps,
}

fn fate(stage: usize, of: &Stage, value: &str) -> Fate {
    let number: u32 = value.split([':', '>']).nth(1).and_then(|number| number.parse().ok()).expect("key:number>…");
    match number {
        bad if bad % of.bad == 0 => Fate::IsBad,
        trapping if trapping % of.trapping == 0 => Fate::Traps,
        _ => Fate::Passes(format!("{value}>{stage}")),
    }
}

fn operator(stage: usize, of: Stage) -> Native {
    Native::try_map(move |_, value| match fate(stage, &of, value) {
        Fate::Passes(out) => Ok(out),
        Fate::IsBad => Err(CallFailure::BadRecord("bad".into())),
        Fate::Traps => {
            let fault = GuestFault { kind: FaultKind::Trap, message: "trapped".into(), backtrace: Vec::new() };
            Err(CallFailure::Fault(fault))
        }
    })
}

fn document(stages: &[Stage], sources: usize, max_rows: u32) -> String {
    let mut text = format!(
        "
batch: {{max_rows: {max_rows}, channel_bytes: 2KiB}}
sources: {{in: {{from: generator, parallelism: {sources}}}}}
sinks: {{out: {{inputs: [s{}], to: blackhole, parallelism: 1}}}}
operators:
",
        stages.len() - 1
    );
    for (place, Stage { parallelism, keyed, .. }) in stages.iter().enumerate() {
        let from = if place == 0 { "in".to_owned() } else { format!("s{}", place - 1) };
        let key_by = if *keyed { ", key_by: $.k" } else { "" };
        text.push_str(&format!(
            "  s{place}: {{module: s@{place}, parallelism: {parallelism}, on_failure: {{broken_after: 100000}}, \
             inputs: {{in: {{from: {from}{key_by}}}}}}}\n"
        ));
    }
    text
}

/// Values that reach the sink, and operator and value of each dead letter; both sorted.
type Fates = (Vec<String>, Vec<(String, String)>);

fn expected(stages: &[Stage], values: &[String]) -> Fates {
    let (mut out, mut letters) = (Vec::new(), Vec::new());
    'events: for value in values {
        let mut value = value.clone();
        for (place, stage) in stages.iter().enumerate() {
            match fate(place, stage, &value) {
                Fate::Passes(next) => value = next,
                Fate::IsBad | Fate::Traps => {
                    letters.push((format!("s{place}"), value));
                    continue 'events;
                }
            }
        }
        out.push(value);
    }
    out.sort_unstable();
    letters.sort_unstable();
    (out, letters)
}

fn stage() -> impl Strategy<Value = Stage> {
    (1u32..4, any::<bool>(), 2u32..40, 2u32..40).prop_map(|(parallelism, keyed, bad, trapping)| Stage {
        parallelism,
        keyed,
        bad,
        trapping,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_out_once_or_is_a_dead_letter_once(
        stages in prop::collection::vec(stage(), 1..5),
        // For each subtask of the source, the sizes of its batches.
        batches in prop::collection::vec(prop::collection::vec(1usize..40, 0..8), 1..4),
        max_rows in 1u32..64,
    ) {
        let mut values = Vec::new();
        let feeds = batches.iter().map(|sizes| {
            Feed::bounded(sizes.iter().map(|size| {
                let batch: Vec<String> = (0..*size).map(|_| {
                    let number = values.len() + 1;
                    values.push(format!("key{}:{number}", number % 7));
                    values[number - 1].clone()
                }).collect();
                Step::Events(events(batch))
            }).collect::<Vec<_>>())
        }).collect();
        let world = World::default().feeds("in", feeds);
        let world = stages.iter().cloned().enumerate().fold(world, |world, (place, stage)| {
            world.operator(&format!("s{place}"), operator(place, stage))
        });
        let job = world.start(&document(&stages, batches.len(), max_rows));
        job.ends(JobState::Finished);

        let mut letters: Vec<_> = job.letters.all().into_iter().map(|letter| {
            (letter.operator.to_string(), String::from_utf8(letter.value.unwrap()).unwrap())
        }).collect();
        letters.sort_unstable();
        prop_assert_eq!((job.shelf("out").sorted(), letters), expected(&stages, &values));
    }
}
