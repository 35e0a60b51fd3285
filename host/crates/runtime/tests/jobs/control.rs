//! Pause, resume, stop, cancel.
use gristmill_ports::PortError;
use gristmill_ports::catalog::JobState;
use gristmill_runtime::JobEventKind;
use gristmill_types::dead_letter::Reason;
use gristmill_types::{CallFailure, DeadLetter};

use crate::fakes::{Feed, Native, Running, Step, World, events};

/// A source, an operator and a sink in one task each.
const THREE_TASKS: &str = "
batch: {channel_bytes: 1KiB}
sources: {in: {from: generator}}
operators: {pass: {module: pass@1, inputs: {in: {from: in, partition: rebalance}}}}
sinks: {out: {inputs: [pass], to: blackhole}}
";

fn pass() -> Native {
    Native::map(|_, value| value.to_owned())
}

fn started(feed: &Feed) -> Running {
    World::default().feed("in", feed).operator("pass", pass()).start(THREE_TASKS)
}

/// A letter of the source, which it decodes again.
fn letter(value: &str) -> DeadLetter {
    DeadLetter {
        operator: "in".parse().unwrap(),
        input: String::new(),
        module: None,
        reason: Reason { kind: "decode".into(), message: String::new() },
        backtrace: Vec::new(),
        origin: "file:1".into(),
        timestamp: 0,
        key: None,
        value: Some(value.as_bytes().to_vec()),
        at_ms: 0,
    }
}

#[test]
fn a_pause_holds_the_source_and_a_resume_loses_nothing() {
    let feed = Feed::default();
    let job = started(&feed);
    feed.push_values(["a"]);
    job.shelf("out").wait_for(1);
    job.handle.pause().unwrap();
    assert_eq!(job.handle.status().state, JobState::Paused);
    // Told after the pause, and obeyed after it: once it is out, the source holds still.
    job.handle.replay(&[letter("told")]).unwrap();
    job.shelf("out").wait_for(2);
    let taken = feed.taken();
    feed.push_values(["b"]);
    job.handle.replay(&[letter("told again")]).unwrap();
    assert_eq!(job.shelf("out").wait_for(3), ["a", "told", "told again"]);
    assert_eq!(feed.taken(), taken, "a paused source was read");
    job.handle.resume().unwrap();
    assert_eq!(job.shelf("out").wait_for(4).last().unwrap(), "b");
    feed.push(Step::End);
    job.ends(JobState::Finished);
}

#[test]
fn a_stop_drains_what_is_inside() {
    let feed = Feed::default();
    let mut world = World::default().feed("in", &feed).operator("pass", pass());
    let shelf = world.shelf("out");
    shelf.shut();
    let job = world.start(THREE_TASKS);
    feed.push_values(["a"]);
    feed.push_values(["b"]);
    feed.wait_hungry();
    job.handle.stop().unwrap();
    assert_eq!(job.handle.status().state, JobState::Stopping);
    assert!(job.handle.pause().is_err() && job.handle.resume().is_err() && job.handle.stop().is_ok());
    shelf.open();
    job.ends(JobState::Stopped);
    assert_eq!(job.shelf("out").values(), ["a", "b"]);
    assert_eq!(job.shelf("out").look(|shelf| shelf.finished), 1);
}

#[test]
fn a_paused_job_can_be_stopped() {
    let feed = Feed::default();
    let job = started(&feed);
    job.handle.pause().unwrap();
    job.handle.stop().unwrap();
    job.ends(JobState::Stopped);
    let refused = job.handle.resume().unwrap_err();
    assert_eq!(refused.to_string(), "a job that is STOPPED cannot be resumed");
}

#[test]
fn a_cancel_ends_a_sink_that_tries_again_and_a_sender_that_waits_for_room() {
    let feed = Feed::default();
    let mut world = World::default().feed("in", &feed).operator("pass", pass());
    let shelf = world.shelf("out");
    shelf.refuse_all(PortError::retry("nobody listens"));
    let job = world.start(THREE_TASKS);
    // One with the sink, one in the channel, one that waits for room; the fourth is never taken.
    (0..4).for_each(|_| feed.push_values(["x".repeat(5000)]));
    feed.wait_taken(3);
    shelf.wait(|shelf| shelf.refused > 1);
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
    assert!(shelf.values().is_empty());
    assert_eq!(shelf.look(|shelf| shelf.finished), 0, "a sink of a cancelled job is not finished");
    assert!(job.handle.cancel().is_ok() && job.handle.stop().is_err());
}

#[test]
fn a_cancel_ends_an_operator_that_tries_again() {
    let feed = Feed::default();
    let flaky = Native::try_map(|_, _| Err(CallFailure::Transient("not yet".into())));
    let job = World::default().feed("in", &feed).operator("pass", flaky).start(THREE_TASKS);
    feed.push_values(["a"]);
    let failed = job.hears(|kind| matches!(kind, JobEventKind::CallFailed { .. }));
    assert_eq!(failed.operator.unwrap().as_str(), "pass");
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

#[test]
fn a_stop_does_not_wait_for_a_source_that_is_out_of_reach() {
    let feed = Feed::default();
    let tries = 64;
    (0..tries).for_each(|_| feed.push(Step::Error(PortError::retry("connection refused"))));
    let job = started(&feed);
    feed.wait_taken(3);
    job.handle.stop().unwrap();
    job.ends(JobState::Stopped);
    // All of them would take minutes.
    assert!(feed.taken() < tries, "the stop waited for the source");
}

#[test]
fn wishes_in_a_hurry_are_heard_in_the_order_in_which_they_were_granted() {
    for _ in 0..50 {
        let feed = Feed::default();
        let job = started(&feed);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..20).for_each(|_| job.handle.pause().unwrap()));
                scope.spawn(|| (0..20).for_each(|_| job.handle.resume().unwrap()));
            }
        });
        job.handle.resume().unwrap();
        assert_eq!(job.handle.status().state, JobState::Running);
        feed.push_values(["a"]);
        feed.push(Step::End);
        job.ends(JobState::Finished);
    }
}

#[test]
fn many_jobs_run_at_once() {
    let feeds: Vec<Feed> = (0..30).map(|_| Feed::default()).collect();
    let jobs: Vec<Running> = feeds.iter().map(started).collect();
    for (number, feed) in feeds.iter().enumerate() {
        feed.push_values([number.to_string()]);
    }
    for (number, job) in jobs.iter().enumerate() {
        assert_eq!(job.shelf("out").wait_for(1), [number.to_string()]);
    }
    feeds.iter().for_each(|feed| feed.push(Step::Events(events(["last"]))));
    jobs.iter().for_each(|job| drop(job.shelf("out").wait_for(2)));
    jobs.iter().for_each(|job| job.handle.stop().unwrap());
    jobs.iter().for_each(|job| job.ends(JobState::Stopped));
}
