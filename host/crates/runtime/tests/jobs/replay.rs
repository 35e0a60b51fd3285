//! Dead letters come back to where they were refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gristmill_ports::catalog::JobState;
use gristmill_runtime::{JobEventKind, ReplayError};
use gristmill_types::CallFailure;

use crate::fakes::{Feed, Native, Running, Step, World};

const KEYED: &str = "
sources: {in: {from: generator, parallelism: 1}}
operators: {strict: {module: strict@1, parallelism: 4, inputs: {in: {from: in, key_by: $.k}}}}
sinks: {out: {inputs: [strict], to: blackhole, parallelism: 1}}
";

/// Refuses all values with a `?` until it is told to be lenient; says where it handled a value.
fn strict(lenient: &Arc<AtomicBool>) -> Native {
    let lenient = Arc::clone(lenient);
    Native::try_map(move |subtask, value| match value.contains('?') && !lenient.load(Ordering::SeqCst) {
        true => Err(CallFailure::BadRecord("a question".into())),
        false => Ok(format!("{value}@{subtask}")),
    })
}

fn started(feed: &Feed, lenient: &Arc<AtomicBool>) -> Running {
    World::default().feed("in", feed).operator("strict", strict(lenient)).start(KEYED)
}

fn wait_for_letters(job: &Running, count: usize) {
    let mut seen = 0;
    let (recent, mut live) = job.handle.events();
    let mut events = recent.into_iter();
    while seen < count {
        let event = events.next().unwrap_or_else(|| live.blocking_recv().expect("the job goes on"));
        if let JobEventKind::DeadLetters { count, .. } = event.kind {
            seen += count as usize;
        }
    }
}

#[test]
fn letters_of_a_keyed_operator_come_back_to_the_subtask_of_their_key() {
    let (feed, lenient) = (Feed::default(), Arc::default());
    let job = started(&feed, &lenient);
    let keys = ["a", "b", "c", "d", "e", "f"];
    feed.push_values(keys.map(|key| format!("{key}:first")));
    feed.push_values(keys.map(|key| format!("{key}:?1")));
    feed.push_values(keys.map(|key| format!("{key}:?2")));
    wait_for_letters(&job, 12);
    lenient.store(true, Ordering::SeqCst);
    job.handle.replay(&job.letters.all()).unwrap();
    let values = job.shelf("out").wait_for(18);
    for key in keys {
        let of_key: Vec<_> = values.iter().filter(|value| value.starts_with(key)).collect();
        let (events, subtasks): (Vec<_>, Vec<_>) = of_key.iter().map(|value| value.split_once('@').unwrap()).unzip();
        assert_eq!(events, [format!("{key}:first"), format!("{key}:?1"), format!("{key}:?2")], "in order");
        assert!(subtasks.iter().all(|subtask| *subtask == subtasks[0]), "{key} came to several subtasks: {subtasks:?}");
    }
    feed.push(Step::End);
    job.ends(JobState::Finished);
}

#[test]
fn letters_of_a_source_are_decoded_again() {
    let (feed, lenient) = (Feed::default(), Arc::default());
    let job = started(&feed, &lenient);
    feed.push(Step::Undecodable("in.jsonl:3"));
    wait_for_letters(&job, 1);
    let [mut letter] = job.letters.all().try_into().unwrap();
    job.handle.replay(std::slice::from_ref(&letter)).unwrap();
    wait_for_letters(&job, 2);
    assert_eq!(job.letters.all()[1].origin, "in.jsonl:3", "still no event, and its place is not forgotten");
    letter.value = Some(b"a:mended".to_vec());
    job.handle.replay(&[letter]).unwrap();
    assert!(job.shelf("out").wait_for(1)[0].starts_with("a:mended@"));
    job.handle.stop().unwrap();
    job.ends(JobState::Stopped);
}

#[test]
fn an_event_without_a_key_does_not_come_back_under_the_key_that_it_had_before() {
    let feed = Feed::default();
    // The source gives a key of its own; the operator wants another, which the value lacks.
    let job = started(&feed, &Arc::default());
    let mut event = gristmill_types::EventBatch::default();
    event.push(0, Some(b"old"), Some(b"no colon"));
    feed.push(Step::Events(event));
    wait_for_letters(&job, 1);
    let letters = job.letters.all();
    assert_eq!(letters[0].key.as_deref(), Some(&b"old"[..]), "a letter holds the event as it was");
    let refused = job.handle.replay(&letters).unwrap_err();
    assert_eq!(refused.to_string(), "the letter still has no key for input `in` of `strict`: there is no colon");
    feed.push(Step::End);
    job.ends(JobState::Finished);
    assert!(job.shelf("out").values().is_empty());
}

#[test]
fn all_letters_come_back_or_none() {
    let (feed, lenient) = (Feed::default(), Arc::default());
    let job = started(&feed, &lenient);
    feed.push_values(["a:?"]);
    wait_for_letters(&job, 1);
    lenient.store(true, Ordering::SeqCst);
    let good = job.letters.all().remove(0);
    let mut stray = good.clone();
    stray.input = "side".into();
    let refused = job.handle.replay(&[good.clone(), stray]).unwrap_err();
    assert_eq!(refused.to_string(), "job `test` has no input `side` at `strict`");
    job.handle.replay(std::slice::from_ref(&good)).unwrap();
    feed.push(Step::End);
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("out").values().len(), 1, "the good one came back once");
    assert_eq!(job.handle.replay(&[good]), Err(ReplayError::NotRunning("test".parse().unwrap())));
}

#[test]
fn a_source_that_has_ended_takes_no_letters_though_the_job_goes_on() {
    let (ended, going) = (Feed::default(), Feed::default());
    let job = World::default().feed("ended", &ended).feed("going", &going).start(
        "
sources: {ended: {from: generator}, going: {from: generator}}
sinks: {one: {inputs: [ended], to: blackhole}, two: {inputs: [going], to: blackhole}}
",
    );
    ended.push(Step::Undecodable("in.jsonl:3"));
    ended.push(Step::End);
    job.shelf("one").wait(|shelf| shelf.finished == 1);
    let refused = job.handle.replay(&job.letters.all()).unwrap_err();
    let sentence =
        "`ended` of job `test` has come to its end and takes no letters; submit the job again to replay them";
    assert_eq!(refused.to_string(), sentence);
    going.push(Step::End);
    job.ends(JobState::Finished);
}
