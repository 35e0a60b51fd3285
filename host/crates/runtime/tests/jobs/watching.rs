//! What can be seen of a job from outside.

use gristmill_ports::catalog::JobState;
use gristmill_ports::telemetry::LogLevel;
use gristmill_runtime::JobEventKind;
use gristmill_types::{MetricUpdate, Outcome, PortIndex, SubtaskIndex};

use crate::fakes::native::mapped;
use crate::fakes::native::texts;
use crate::fakes::{Feed, Native, Step, World, events};

const PASS: &str = "
sources: {in: {from: generator}}
operators: {pass: {module: pass@1, inputs: {in: {from: in}}}}
sinks: {out: {inputs: [pass], to: blackhole}}
";

fn pass() -> Native {
    Native::map(|_, value| value.to_owned())
}

#[test]
fn a_tap_shows_the_first_events_of_each_batch_that_leaves_a_port() {
    let feed = Feed::default();
    let job = World::default().feed("in", &feed).operator("pass", pass()).start(PASS);
    let mut tap = job.handle.tap(&"pass".parse().unwrap(), PortIndex(0)).unwrap();
    feed.push_values((0..100).map(|number| format!("k:{number}")));
    feed.push(Step::End);
    job.ends(JobState::Finished);
    let seen: Vec<_> = std::iter::from_fn(|| tap.try_recv().ok()).collect();
    assert_eq!(seen.len(), 8, "a look, not a copy of the stream");
    assert_eq!((seen[1].subtask, seen[1].timestamp), (SubtaskIndex(0), 1));
    assert_eq!((seen[1].key.as_deref(), seen[1].value.as_deref()), (Some(&b"k"[..]), Some(&b"k:1"[..])));
}

#[test]
fn a_tap_that_nobody_reads_holds_nothing_up() {
    let feed = Feed::bounded((0..200).map(|_| Step::Events(events(["a", "b", "c"]))));
    let mut world = World::default().feed("in", &feed).operator("pass", pass());
    let shelf = world.shelf("out");
    shelf.shut();
    let job = world.start(PASS);
    let _unread = job.handle.tap(&"pass".parse().unwrap(), PortIndex(0)).unwrap();
    shelf.open();
    job.ends(JobState::Finished);
    assert_eq!(shelf.values().len(), 600);
}

#[test]
fn a_tap_on_nothing_is_refused_in_a_sentence() {
    let job = World::default().feed("in", &Feed::default()).operator("pass", pass()).start(PASS);
    let refusal = |node: &str, port| job.handle.tap(&node.parse().unwrap(), PortIndex(port)).unwrap_err();
    assert_eq!(refusal("nobody", 0), "job `test` has no operator `nobody`");
    assert_eq!(refusal("pass", 1), "`pass` has 1 output ports: out");
    assert_eq!(refusal("out", 0), "`out` is a sink, which has no output port; tap what feeds it");
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

#[test]
fn events_of_a_job_are_heard_late_and_live_in_one_order() {
    let feed = Feed::default();
    let job = World::default().feed("in", &feed).operator("pass", pass()).start(PASS);
    job.handle.pause().unwrap();
    let (recent, mut live) = job.handle.events();
    job.handle.stop().unwrap();
    job.ends(JobState::Stopped);
    let mut heard = recent.clone();
    heard.extend(std::iter::from_fn(|| live.try_recv().ok()));
    let happened: Vec<_> = heard
        .iter()
        .map(|event| match event.kind {
            JobEventKind::State { state, .. } => state.to_string(),
            JobEventKind::Checkpoint { checkpoint, .. } => format!("checkpoint {checkpoint}"),
            ref other => panic!("nothing else happened: {other:?}"),
        })
        .collect();
    assert_eq!(happened, ["RUNNING", "PAUSED", "STOPPING", "checkpoint 1", "STOPPED"]);
    assert_eq!(recent.len(), 2);
    assert!(heard.iter().map(|event| event.number).eq(0..5));
}

#[test]
fn a_guest_is_heard_and_its_metrics_are_summed_over_subtasks() {
    let mut speaking = Native::new(&["in"], &["out"], |context| {
        let log = std::sync::Arc::clone(&context.log);
        Ok(Box::new(move |_, events, _| {
            log.line(LogLevel::Warn, Some(0), "look here");
            let values: Vec<String> = texts(events).map(str::to_owned).collect();
            let metrics = vec![
                MetricUpdate::Add { metric: 0, delta: i64::MAX },
                MetricUpdate::Observe { metric: 1, value: f64::NAN },
                MetricUpdate::Observe { metric: 1, value: f64::MAX },
            ];
            Ok(Outcome { metrics, ..mapped(events, &values) })
        }))
    });
    speaking.descriptor.metrics = vec!["wild".into(), "wilder".into()];
    let feed = Feed::bounded([Step::Events(events(["a"])), Step::Events(events(["b"]))]);
    let job = World::default().feed("in", &feed).operator("pass", speaking).start(
        "
sources: {in: {from: generator, parallelism: 1}}
operators: {pass: {module: pass@1, parallelism: 2, inputs: {in: {from: in}}}}
sinks: {out: {inputs: [pass], to: blackhole, parallelism: 1}}
",
    );
    job.ends(JobState::Finished);
    let said = job.hears(|kind| matches!(kind, JobEventKind::Log { .. }));
    assert_eq!(said.kind, JobEventKind::Log { level: LogLevel::Warn, row: Some(0), message: "look here".into() });
    let report = job.handle.report();
    let [wild, wilder] = report.nodes[1].total.metrics.as_slice() else { panic!("two metrics were declared") };
    assert_eq!(wild.total, i64::MAX.wrapping_add(i64::MAX), "the guest's arithmetic is the guest's");
    assert_eq!((wilder.observed.count, wilder.observed.sum), (2, f64::MAX), "what is no number is not counted");
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(
        serde_json::from_str::<gristmill_runtime::JobReport>(&text).unwrap(),
        report,
        "a client can read it back"
    );
}
