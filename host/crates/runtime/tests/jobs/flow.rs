//! Events find their way.

use std::collections::{BTreeMap, BTreeSet};

use gristmill_ports::catalog::JobState;
use gristmill_types::{Emission, Outcome, PortIndex, Rows};

use crate::fakes::native::{emitted, mapped, texts};
use crate::fakes::{Feed, Native, Step, World, events};

#[test]
fn a_bounded_job_finishes_with_everything_out() {
    let feed = Feed::bounded([Step::Events(events(["a:1", "b:2"])), Step::Events(events(["c:3"]))]);
    let job = World::default().feed("in", &feed).operator("shout", Native::map(|_, value| value.to_uppercase())).start(
        "
sources: {in: {from: generator}}
operators: {shout: {module: shout@1, inputs: {in: {from: in}}}}
sinks: {out: {inputs: [shout], to: blackhole}}
",
    );
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("out").values(), ["A:1", "B:2", "C:3"]);
    let (flushed, finished) = job.shelf("out").look(|shelf| (shelf.flushed, shelf.finished));
    assert_eq!((flushed, finished), (3, 1), "a sink is flushed, then finished, once");
    let report = job.handle.report();
    assert_eq!((report.state, report.events_read(), report.events_written()), (JobState::Finished, 3, 3));
    assert_eq!(report.nodes[2].total.sink.expect("the sink gave a summary").events, 3);
}

#[test]
fn each_key_stays_on_one_subtask_and_keeps_its_order() {
    const KEYS: usize = 40;
    let numbered = |feed: usize| {
        let batch = |round: usize| {
            events((0..KEYS).filter(move |key| key % 4 == feed).map(move |key| format!("key{key}:{round:03}")))
        };
        Feed::bounded((0..50).map(batch).map(Step::Events))
    };
    let job = World::default()
        .feeds("in", (0..4).map(numbered).collect())
        .operator("place", Native::map(|subtask, value| format!("{value}@{subtask}")))
        .start(
            "
parallelism: 4
sources: {in: {from: generator}}
operators: {place: {module: place@1, inputs: {in: {from: in, key_by: $.k}}}}
sinks: {out: {inputs: [place], to: blackhole}}
",
        );
    job.ends(JobState::Finished);
    let mut of_key: BTreeMap<String, (Vec<String>, BTreeSet<String>)> = BTreeMap::new();
    for value in job.shelf("out").values() {
        let (key, rest) = value.split_once(':').unwrap();
        let (round, subtask) = rest.split_once('@').unwrap();
        let (rounds, subtasks) = of_key.entry(key.to_owned()).or_default();
        rounds.push(round.to_owned());
        subtasks.insert(subtask.to_owned());
    }
    assert_eq!(of_key.len(), KEYS);
    let all: Vec<String> = (0..50).map(|round| format!("{round:03}")).collect();
    for (key, (rounds, subtasks)) in &of_key {
        assert_eq!(*rounds, all, "{key} came in another order");
        assert_eq!(subtasks.len(), 1, "{key} was on several subtasks");
    }
    let used: BTreeSet<_> = of_key.values().flat_map(|(_, subtasks)| subtasks).collect();
    assert_eq!(used.len(), 4, "all subtasks have work");
}

#[test]
fn inputs_and_ports_are_told_apart() {
    let sort = Native::new(&["left", "right"], &["even", "odd"], |_| {
        Ok(Box::new(|input, events, _| {
            let text = |value: &str| format!("{value} by {input}");
            let values: Vec<String> = texts(events).map(text).collect();
            let (even, odd): (Vec<u32>, Vec<u32>) = (0..events.len() as u32).partition(|row| {
                let last = values[*row as usize].split(' ').next().unwrap().bytes().last();
                last.unwrap().is_multiple_of(2)
            });
            let part = |rows: Vec<u32>| Rows::Mapped {
                values: rows.iter().map(|row| Some(values[*row as usize].as_bytes())).collect(),
                rows,
            };
            let emissions = vec![
                Emission { port: PortIndex(0), rows: part(even) },
                Emission { port: PortIndex(1), rows: part(odd) },
            ];
            Ok(Outcome { emissions, ..Outcome::default() })
        }))
    });
    let job = World::default()
        .feed("one", &Feed::bounded([Step::Events(events(["a1", "a2"]))]))
        .feed("two", &Feed::bounded([Step::Events(events(["b1", "b2"]))]))
        .operator("sort", sort)
        .start(
            "
sources: {one: {from: generator}, two: {from: generator}}
operators: {sort: {module: sort@1, inputs: {left: {from: one}, right: {from: two}}}}
sinks:
  even: {inputs: [sort.even], to: blackhole}
  odd: {inputs: [sort.odd], to: blackhole}
  both: {inputs: [sort.even, sort.odd, one], to: blackhole}
",
        );
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("even").sorted(), ["a2 by 0", "b2 by 1"]);
    assert_eq!(job.shelf("odd").sorted(), ["a1 by 0", "b1 by 1"]);
    assert_eq!(job.shelf("both").sorted(), ["a1", "a1 by 0", "a2", "a2 by 0", "b1 by 1", "b2 by 1"]);
}

/// Which subtasks saw which of six batches of one event.
fn spread(partition: &str) -> Vec<String> {
    let feed = Feed::bounded((0..6).map(|number| Step::Events(events([number.to_string()]))));
    let job = World::default()
        .feed("in", &feed)
        .operator("place", Native::map(|subtask, value| format!("{value}@{subtask}")))
        .start(&format!(
            "
sources: {{in: {{from: generator}}}}
operators: {{place: {{module: place@1, parallelism: 3, inputs: {{in: {{from: in, partition: {partition}}}}}}}}}
sinks: {{out: {{inputs: [place], to: blackhole}}}}
"
        ));
    job.ends(JobState::Finished);
    job.shelf("out").sorted()
}

#[test]
fn broadcast_reaches_every_subtask() {
    let all: Vec<String> = (0..6).flat_map(|number| (0..3).map(move |subtask| format!("{number}@{subtask}"))).collect();
    assert_eq!(spread("broadcast"), all);
}

#[test]
fn rebalance_gives_every_subtask_its_turn() {
    let spread = spread("rebalance");
    assert_eq!(spread.len(), 6);
    for subtask in ["@0", "@1", "@2"] {
        assert_eq!(spread.iter().filter(|value| value.ends_with(subtask)).count(), 2, "{spread:?}");
    }
}

#[test]
fn state_belongs_to_a_key_and_survives_from_call_to_call() {
    let count = Native::new(&["in"], &["out"], |_| {
        Ok(Box::new(|_, events, state| {
            let mut counts = Vec::new();
            for row in 0..events.len() as u32 {
                let before = state.get(gristmill_types::StateIndex(0), &[row]).unwrap().values.bytes_of(0).len();
                let after = [Some(&b"++++++++"[..=before])].into_iter().collect();
                state.put(gristmill_types::StateIndex(0), &[row], &after).unwrap();
                counts.push(format!("{} {}", texts(events).nth(row as usize).unwrap(), before + 1));
            }
            Ok(mapped(events, &counts))
        }))
    });
    let feed = Feed::bounded([Step::Events(events(["a:x", "b:x"])), Step::Events(events(["a:y"]))]);
    let job = World::default().feed("in", &feed).operator("count", count).start(
        "
sources: {in: {from: generator}}
operators: {count: {module: count@1, parallelism: 2, inputs: {in: {from: in, key_by: $.k}}}}
sinks: {out: {inputs: [count], to: blackhole}}
",
    );
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("out").sorted(), ["a:x 1", "a:y 2", "b:x 1"]);
    assert_eq!(job.handle.report().nodes.iter().map(|node| node.total.state_keys).sum::<u64>(), 2);
}

#[test]
fn a_filter_that_passes_nothing_sends_nothing() {
    let nothing =
        Native::new(&["in"], &["out"], |_| Ok(Box::new(|_, _, _| Ok(emitted(0, Rows::Selected(Vec::new()))))));
    let feed = Feed::bounded([Step::Events(events(["a", "b"]))]);
    let job = World::default().feed("in", &feed).operator("drop", nothing).start(
        "
sources: {in: {from: generator}}
operators: {drop: {module: drop@1, inputs: {in: {from: in}}}}
sinks: {out: {inputs: [drop], to: blackhole}}
",
    );
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("out").look(|shelf| shelf.writes), 0);
}
