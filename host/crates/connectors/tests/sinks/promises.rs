//! What every transactional sink promises.

use gristmill_types::AttemptId;

use super::kinds::Kind;
use super::world::World;

const NOTHING: [u64; 0] = [];

#[expect(clippy::print_stderr, reason = "says of which kind a promise is broken")]
fn for_each_kind(promise: impl Fn(&World, &Kind)) {
    for kind in Kind::all() {
        eprintln!("of {}", kind.name());
        promise(&World::new(), &kind);
    }
}

#[test]
fn nothing_is_visible_before_it_is_committed() {
    for_each_kind(|world, kind| {
        let mut attempt = world.attempt(&kind.spec(), 1, None);
        attempt.write([1, 2]);
        attempt.sink.flush().unwrap();
        assert_eq!(kind.visible(world), NOTHING, "flushed");
        let first = attempt.checkpoint(1);
        assert_eq!(kind.visible(world), NOTHING, "sealed");
        attempt.write([3]);
        let mut committer = world.committer(&kind.spec(), 1);
        world.commit(&mut *committer, 1, &first.committables).unwrap();
        assert_eq!(kind.visible(world), [1, 2], "what came behind the cut is not");
        let second = attempt.checkpoint(2);
        world.commit(&mut *committer, 2, &second.committables).unwrap();
        assert_eq!(kind.visible(world), [1, 2, 3]);
        let summary = attempt.sink.finish().unwrap().expect("a summary");
        assert_eq!(summary.events, 3);
    });
}

#[test]
fn a_commit_that_is_repeated_changes_nothing_whoever_repeats_it() {
    for_each_kind(|world, kind| {
        let mut attempt = world.attempt(&kind.spec(), 1, None);
        let mut committables = Vec::new();
        for number in 1..=3 {
            attempt.write([number]);
            committables.push(attempt.checkpoint(number).committables);
            for earlier in &committables {
                let mut somebody = world.committer(&kind.spec(), 10 + number);
                world.commit(&mut *somebody, number, earlier).unwrap();
                world.commit(&mut *somebody, number, earlier).unwrap();
            }
            assert_eq!(kind.visible(world), (1..=number).collect::<Vec<_>>());
        }
    });
}

#[test]
fn what_a_failed_checkpoint_staged_joins_the_next() {
    for_each_kind(|world, kind| {
        let mut attempt = world.attempt(&kind.spec(), 1, None);
        attempt.write([1]);
        let mut uncommitted = attempt.checkpoint(1).committables;
        attempt.write([2]);
        uncommitted.extend(attempt.checkpoint(2).committables);
        world.commit(&mut *world.committer(&kind.spec(), 1), 2, &uncommitted).unwrap();
        assert_eq!(kind.visible(world), [1, 2]);
    });
}

#[test]
fn an_idle_checkpoint_stages_nothing() {
    for_each_kind(|world, kind| {
        let mut attempt = world.attempt(&kind.spec(), 1, None);
        attempt.write([1]);
        attempt.checkpoint(1);
        assert_eq!(attempt.checkpoint(2).committables, []);
        attempt.write([2]);
        assert_eq!(attempt.checkpoint(3).committables.len(), 1);
    });
}

#[test]
fn an_attempt_goes_on_from_the_checkpoint_and_what_was_undecided_leaves_no_trace() {
    for_each_kind(|world, kind| {
        let spec = kind.spec();
        let mut first = world.attempt(&spec, 1, None);
        first.write([1, 2]);
        let decided = first.checkpoint(1);
        first.write([3]);
        // The same checkpoint as the one that the next attempt will make, with the same numbers in it.
        let undecided = first.checkpoint(2);
        first.write([4]);
        drop(first);

        let mut committer = world.committer(&spec, 2);
        committer.abort_all_but(&decided.committables, &[AttemptId(1)]).unwrap();
        world.commit(&mut *committer, 1, &decided.committables).unwrap();
        assert_eq!(kind.traces(world), Vec::<String>::new());
        let mut second = world.attempt(&spec, 2, Some(&decided));
        second.write([3, 4, 5]);
        let decided = second.checkpoint(2);
        world.commit(&mut *committer, 2, &decided.committables).unwrap();
        assert_eq!(kind.visible(world), [1, 2, 3, 4, 5]);
        let summary = second.sink.finish().unwrap().expect("a summary");
        assert_eq!(summary.events, 5, "counted once each");
        assert_ne!(undecided.committables[0].payload, Vec::<u8>::new());
    });
}

#[test]
fn an_attempt_that_is_slow_to_begin_does_not_touch_what_its_successor_staged() {
    for_each_kind(|world, kind| {
        let spec = kind.spec();
        let mut first = world.attempt(&spec, 1, None);
        first.write([1]);
        let decided = first.checkpoint(1);
        drop(first);
        let mut slow = world.committer(&spec, 2);
        let mut successor = world.attempt(&spec, 3, Some(&decided));
        successor.write([2]);
        let next = successor.checkpoint(2);
        slow.abort_all_but(&decided.committables, &[AttemptId(1)]).unwrap();
        let mut committer = world.committer(&spec, 3);
        world.commit(&mut *committer, 2, &decided.committables).unwrap();
        world.commit(&mut *slow, 1, &decided.committables).unwrap();
        world.commit(&mut *committer, 2, &next.committables).unwrap();
        world.commit(&mut *slow, 1, &decided.committables).unwrap();
        assert_eq!(kind.visible(world), [1, 2]);
    });
}

#[test]
fn words_of_a_newer_host_are_refused_by_name() {
    for_each_kind(|world, kind| {
        let newer = br#"{"version":2,"anything":[]}"#;
        let error = world.open(&kind.spec(), &world.context(1, 0, 1), Some(newer)).err().expect("unknown words");
        assert!(error.message.contains("`out`") || error.message.contains("of out "), "{error}");
        assert!(error.message.contains("start a host that knows it"), "{error}");
    });
}
