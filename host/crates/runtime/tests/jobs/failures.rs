//! What goes wrong goes wrong in a sentence, and nothing is lost in silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gristmill_ports::PortError;
use gristmill_ports::catalog::JobState;
use gristmill_runtime::JobEventKind;
use gristmill_types::CallFailure;

use crate::fakes::letters::Letters;
use crate::fakes::{Feed, Native, Running, Step, World, events};

const PASS: &str = "
sources: {in: {from: generator}}
operators: {pass: {module: pass@1, inputs: {in: {from: in, partition: rebalance}}}}
sinks: {out: {inputs: [pass], to: blackhole}}
";

fn pass() -> Native {
    Native::map(|_, value| value.to_owned())
}

#[test]
fn a_sink_that_gives_up_fails_the_job_with_its_sentence() {
    let feed = Feed::default();
    let mut world = World::default().feed("in", &feed).operator("pass", pass());
    world.shelf("out").refuse_next([PortError::fatal("`/data/out.jsonl` cannot be written: no space left on device")]);
    let job = world.start(PASS);
    feed.push_values(["a"]);
    assert_eq!(job.fails(), "sink `out`: `/data/out.jsonl` cannot be written: no space left on device");
}

#[test]
fn a_sink_whose_tries_have_come_to_an_end_is_for_the_restart_strategy() {
    let start = |restart: &str| {
        let feed = Feed::default();
        let mut world = World::default().feed("in", &feed).operator("pass", pass());
        world.shelf("out").refuse_next([PortError::given_up("503; gave up after 10 tries")]);
        let job = world.start(&format!("{PASS}restart: {restart}\n"));
        feed.push_values(["a"]);
        job
    };
    let why = "sink `out`: 503; gave up after 10 tries";
    assert_eq!(start("none").fails(), why);
    let job = start("{fixed: {delay: 1ms}}");
    job.hears(|kind| matches!(kind, JobEventKind::State { state: JobState::Restarting, .. }));
    assert_eq!(job.handle.checkpoints().last_restart.unwrap().cause, why);
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

#[test]
fn a_world_that_was_not_ready_for_long_is_for_the_restart_strategy() {
    let feed = Feed::default();
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tries);
    let native = Native::try_map(move |_, value| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => Err(CallFailure::Transient("not yet".into())),
        _ => Ok(value.to_owned()),
    });
    let document = PASS.replace("module: pass@1,", "module: pass@1, on_failure: {transient: {retry: 0}},");
    let job = World::default()
        .feed("in", &feed)
        .operator("pass", native)
        .start(&format!("{document}restart: {{fixed: {{delay: 1ms}}}}\n"));
    feed.push_values(["a"]);
    job.hears(|kind| matches!(kind, JobEventKind::State { state: JobState::Restarting, .. }));
    assert!(job.handle.checkpoints().last_restart.unwrap().cause.ends_with("not yet (after 1 tries)"));
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

#[test]
fn a_sink_that_is_not_ready_gets_the_same_batch_again_and_once() {
    let feed = Feed::bounded([Step::Events(events(["a", "b"])), Step::Events(events(["c"]))]);
    let mut world = World::default().feed("in", &feed).operator("pass", pass());
    world.shelf("out").refuse_next([PortError::retry("503"), PortError::retry("503")]);
    let job = world.start(PASS);
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("out").values(), ["a", "b", "c"]);
    let retries: u64 = job.handle.report().nodes.iter().map(|node| node.total.retries).sum();
    assert_eq!(retries, 2);
    assert!(job.handle.report().nodes.iter().all(|node| node.total.retrying.is_none()), "it went on");
}

#[test]
fn a_node_that_tries_again_says_why_and_since_when() {
    let feed = Feed::default();
    let mut world = World::default().feed("in", &feed).operator("pass", pass());
    world.shelf("out").refuse_all(PortError::retry("503"));
    let job = world.start(PASS);
    feed.push_values(["a"]);
    let retrying =
        || job.handle.report().nodes.into_iter().find_map(|node| node.total.retrying.map(|it| (node.id, it)));
    let (node, first) = loop {
        match retrying() {
            Some(found) => break found,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!((node.as_str(), first.reason.as_str()), ("out", "503"));
    let tries = || job.handle.report().nodes.iter().map(|node| node.total.retries).sum::<u64>();
    while tries() < 3 {
        std::thread::yield_now();
    }
    assert_eq!(retrying().expect("it waits still").1.since_ms, first.since_ms, "since the first try");
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

const STRAIGHT: &str = "
sources: {in: {from: generator, parallelism: 1}}
operators: {pass: {module: pass@1, parallelism: 1, inputs: {in: {from: in}}}}
sinks: {out: {inputs: [pass], to: blackhole, parallelism: 1}}
";

#[test]
fn an_event_that_a_sink_can_never_write_costs_no_other_and_comes_back_when_it_can() {
    let feed = Feed::default();
    let mut world = World::default().feed("in", &feed).operator("pass", pass());
    world.shelf("out").cannot_write(["odd"]);
    let job = world.start(STRAIGHT);
    feed.push_values(["a", "odd", "b"]);
    job.shelf("out").wait_for(2);
    job.hears(|kind| matches!(kind, JobEventKind::DeadLetters { .. }));
    let letters = job.letters.all();
    assert_eq!(job.letters.briefly(), [("encode".to_owned(), "odd".to_owned())]);
    assert_eq!((letters[0].operator.as_str(), letters[0].reason.message.as_str()), ("out", "`odd` cannot be written"));

    job.shelf("out").cannot_write([""; 0]);
    job.handle.replay(&letters).unwrap();
    assert_eq!(job.shelf("out").wait_for(3), ["a", "b", "odd"]);
    feed.push(Step::End);
    job.ends(JobState::Finished);
    let report = job.handle.report();
    let sink = report.nodes.iter().find(|node| node.id.as_str() == "out").unwrap();
    assert_eq!((sink.total.events_in, sink.total.dead_letters), (3, 1), "only what was taken counts as written");
}

#[test]
fn a_job_that_fails_brings_out_what_its_sinks_have_taken() {
    let feed = Feed::bounded([Step::Events(events(["a", "b"])), Step::Events(events(["bomb"]))]);
    let picky = Native::try_map(|_, value| match value {
        "bomb" => Err(CallFailure::Fatal("a bomb".into())),
        value => Ok(value.to_owned()),
    });
    let job = World::default().feed("in", &feed).operator("pass", picky).start(STRAIGHT);
    assert!(job.fails().contains("a bomb"));
    assert_eq!(job.shelf("out").look(|shelf| (shelf.events.len(), shelf.flushed, shelf.finished)), (2, 2, 0));
}

#[test]
fn a_source_that_is_not_ready_is_asked_again() {
    let feed = Feed::bounded([
        Step::Events(events(["a"])),
        Step::Error(PortError::retry("connection reset")),
        Step::Events(events(["b"])),
    ]);
    let job = World::default().feed("in", &feed).operator("pass", pass()).start(PASS);
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("out").values(), ["a", "b"]);
}

#[test]
fn a_source_that_gives_up_fails_the_job_with_its_sentence() {
    let feed = Feed::bounded([Step::Error(PortError::fatal("`data/*.jsonl` matches no file"))]);
    let job = World::default().feed("in", &feed).operator("pass", pass()).start(PASS);
    assert_eq!(job.fails(), "source `in`: `data/*.jsonl` matches no file");
}

#[test]
fn input_that_is_no_event_goes_to_the_dead_letters_with_its_place() {
    let feed = Feed::bounded([
        Step::Events(events(["a"])),
        Step::Undecodable("flights.jsonl:17"),
        Step::Events(events(["b"])),
    ]);
    let job = World::default().feed("in", &feed).operator("pass", pass()).start(PASS);
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("out").values(), ["a", "b"]);
    let [letter] = job.letters.all().try_into().unwrap();
    assert_eq!((letter.operator.as_str(), letter.origin.as_str()), ("in", "flights.jsonl:17"));
    assert_eq!((letter.reason.kind.as_str(), letter.reason.message.as_str()), ("decode", "the object is not closed"));
    assert_eq!(job.handle.report().dead_letters(), 1);
}

/// Runs keyed events of which some have no key, with one subtask (keyed in the chain) or two (keyed in an exchange).
fn without_keys(parallelism: u32) -> Running {
    let feed = Feed::bounded([Step::Events(events(["a:1", "nothing", "b:2"]))]);
    let job = World::default().feed("in", &feed).operator("pass", pass()).start(&format!(
        "
sources: {{in: {{from: generator}}}}
operators: {{pass: {{module: pass@1, parallelism: {parallelism}, inputs: {{in: {{from: in, key_by: $.k}}}}}}}}
sinks: {{out: {{inputs: [pass], to: blackhole}}}}
"
    ));
    job.ends(JobState::Finished);
    job
}

#[test]
fn an_event_without_the_key_that_it_needs_goes_to_the_dead_letters_of_who_needs_it() {
    for parallelism in [1, 2] {
        let job = without_keys(parallelism);
        assert_eq!(job.shelf("out").sorted(), ["a:1", "b:2"]);
        assert_eq!(job.letters.briefly(), [("no-key".to_owned(), "nothing".to_owned())]);
        let [letter] = job.letters.all().try_into().unwrap();
        assert_eq!((letter.operator.as_str(), letter.input.as_str()), ("pass", "in"));
        assert_eq!((letter.reason.kind.as_str(), letter.reason.message.as_str()), ("no-key", "there is no colon"));
    }
}

#[test]
fn letters_that_cannot_be_kept_fail_the_job() {
    let feed = Feed::bounded([Step::Undecodable("flights.jsonl:17")]);
    let world = World::default().letters(Letters::full("the disk is full"));
    let job = world.feed("in", &feed).operator("pass", pass()).start(PASS);
    assert_eq!(job.fails(), "1 dead letters of `in` cannot be kept: the disk is full");
}

#[test]
fn a_broken_operator_fails_the_job_and_its_letters_stay() {
    let feed = Feed::default();
    let bad = Native::try_map(|_, value| Err(CallFailure::Fatal(format!("{value} was the last straw"))));
    let job = World::default().feed("in", &feed).operator("pass", bad).start(PASS);
    feed.push_values(["a"]);
    let why = job.fails();
    assert!(why.starts_with("operator `pass` (module 0101"), "{why}");
    assert!(why.ends_with("the operator says that it cannot go on: a was the last straw"), "{why}");
}

#[test]
fn a_state_that_cannot_be_written_fails_the_job() {
    let feed = Feed::bounded([Step::Events(events(["a"]))]);
    let document = format!("{PASS}restart: none\n");
    let job = World::default().broken_state().feed("in", &feed).operator("pass", pass()).start(&document);
    assert!(job.fails().ends_with("the state backend failed: the disk is gone"));
    assert!(job.shelf("out").values().is_empty(), "output without its state would be half a call");
}

#[test]
fn a_panic_in_an_operator_fails_the_job_and_not_the_process() {
    let feed = Feed::default();
    let document = format!("{PASS}restart: none\n");
    let panics = Native::map(|_, _| panic!("an own goal"));
    let job = World::default().feed("in", &feed).operator("pass", panics).start(&document);
    feed.push_values(["a"]);
    assert_eq!(job.fails(), "a bug in the host ended subtask 0 of `pass`: an own goal");
}

#[test]
fn a_part_that_cannot_be_opened_keeps_the_job_from_starting() {
    let opened = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&opened);
    let closed = Native::new(&["in"], &["out"], |_| Err(CallFailure::Fatal("no such table".into())));
    let world = World::default().operator("pass", closed).source("in", move |_| {
        let counter = Arc::clone(&counter);
        Ok(Box::new(CountsPolls(counter)))
    });
    let refused = world.try_start(PASS).err().expect("the operator does not open");
    assert_eq!(refused.to_string(), "`pass` cannot be opened: fatal failure: no such table");
    assert_eq!(opened.load(Ordering::SeqCst), 0, "a source was read");

    let world =
        World::default().operator("pass", pass()).source("in", |_| Err(PortError::fatal("`a.jsonl` does not exist")));
    let refused = world.try_start(PASS).err().expect("the source does not open");
    assert_eq!(refused.to_string(), "`in` cannot be opened: `a.jsonl` does not exist");
}

struct CountsPolls(Arc<AtomicUsize>);

impl gristmill_ports::SourceReader for CountsPolls {
    fn poll_next(
        &mut self,
        _: &mut std::task::Context<'_>,
        _: gristmill_ports::source::ReadBounds,
    ) -> std::task::Poll<Result<Option<gristmill_ports::SourceBatch>, PortError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::task::Poll::Ready(Ok(None))
    }

    fn decode_again(&mut self, _: &[u8], _: &str) -> gristmill_ports::SourceBatch {
        gristmill_ports::SourceBatch::default()
    }
}
