//! What is kept behind decided checkpoints, and what a person gives up of it.

use std::collections::BTreeSet;

use gristmill_ports::catalog::JobState;
use gristmill_runtime::JobEventKind;
use gristmill_types::CheckpointId;

use crate::counting::{COUNT, Outside, count};
use crate::fakes::Running;

impl Outside {
    fn slots(&self) -> Vec<u64> {
        let slots = self.store.paths().into_iter().filter(|path| path.contains("/chain/"));
        slots.map(|path| path.rsplit('/').next().unwrap().parse().unwrap()).collect()
    }

    /// Three checkpoints, of which a person gives the last two up: #4 stands before them in the input.
    fn gives_up(&self) -> Running {
        let job = self.start();
        (1..=3).for_each(|number| _ = self.checkpoint_at(&job, 20 * number));
        job.handle.abandon();
        job.is_gone();
        self.tape.hold(30);
        let world = self.world().operator("count", count());
        world.try_start_from(COUNT, Some(CheckpointId(1))).expect("it was accepted")
    }
}

#[test]
fn a_source_keeps_what_the_oldest_kept_checkpoint_has_before_it_and_forgets_the_rest() {
    let outside = Outside::new(100);
    let job = outside.start();
    (1..=5).for_each(|number| _ = outside.checkpoint_at(&job, 10 * number));
    outside.tape.wait_forgotten(30);
    job.handle.abandon();
    job.is_gone();
    assert_eq!(outside.tape.forgotten(), 30, "the last three are kept");
    let world = outside.world().operator("count", count());
    let job = world.try_start_from(COUNT, Some(CheckpointId(3))).expect("it is kept, and so is what follows it");
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

#[test]
fn checkpoints_that_were_given_up_do_not_count_as_kept() {
    let outside = Outside::new(100);
    let job = outside.gives_up();
    outside.tape.wait_reached(30);
    let job = outside.crash(&job);
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(1)));
    outside.checkpoint_at(&job, 30);
    // A source hears of what is kept before it hears of the next checkpoint.
    outside.checkpoint_at(&job, 31);
    assert!(outside.tape.forgotten() <= 20, "1, 4 and 5 are kept");
    let job = outside.crash(&job);
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(5)), "the tape still has what comes behind it");
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

#[test]
fn what_a_person_gave_up_need_not_be_readable() {
    let outside = Outside::new(100);
    let job = outside.start();
    outside.checkpoint_at(&job, 10);
    let before: BTreeSet<String> = outside.store.paths().into_iter().collect();
    outside.checkpoint_at(&job, 20);
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
    outside
        .store
        .paths()
        .iter()
        .filter(|path| !before.contains(*path))
        .filter(|path| path.contains("/files/"))
        .for_each(|page| outside.store.unreadable(page));
    outside.tape.play(100);
    let job = outside.world().operator("count", count()).resume_from(COUNT, Some(CheckpointId(1)));
    job.ends(JobState::Finished);
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(1)));
}

#[test]
fn checkpoints_that_were_given_up_go_once_another_one_is_decided() {
    let outside = Outside::new(100);
    let job = outside.gives_up();
    assert_eq!(outside.slots(), [0, 1, 2, 3, 4], "a claim, three checkpoints, a claim: nothing is decided yet");
    outside.checkpoint_at(&job, 30);
    // What was to be deleted is, before another one is stored.
    outside.checkpoint_at(&job, 31);
    assert_eq!(outside.slots(), [0, 1, 4, 5, 6]);
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

#[test]
fn what_a_crash_left_behind_is_swept_however_often_the_job_has_started() {
    let outside = Outside::new(100);
    let mut job = outside.start();
    outside.checkpoint_at(&job, 20);
    outside.checkpoint_at(&job, 40);
    // Something that nobody can read is in the way of the sweep until it is given up for good.
    let newest = outside.store.paths().into_iter().rfind(|path| path.contains("/chain/")).unwrap();
    outside.store.damage(&newest, |bytes| bytes[40] ^= 1);
    job.handle.abandon();
    job.is_gone();
    let world = outside.world().operator("count", count());
    job = world.try_start_from(COUNT, Some(CheckpointId(1))).expect("it was accepted");
    outside.checkpoint_at(&job, 60);
    let reads_of_a_start = |job: &Running| {
        let before = outside.store.reads();
        (outside.crash(job), outside.store.reads() - before)
    };
    let (next, few) = reads_of_a_start(&job);
    job = next;
    for _ in 0..70 {
        job = outside.crash(&job);
    }
    let orphan = outside.store.paths().into_iter().find(|path| path.contains("/files/")).unwrap() + "-orphan";
    outside.store.leave(&orphan);
    let (job, reads) = reads_of_a_start(&job);
    assert!(reads <= few + 2, "{reads} reads at the start, {few} when there were few claims");
    outside.checkpoint_at(&job, 80);
    assert!(!outside.store.paths().contains(&orphan), "it was swept before the checkpoint was stored");
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

#[test]
fn what_was_accepted_stays_accepted_until_an_attempt_goes_on_from_it() {
    let outside = Outside::new(100);
    let job = outside.start();
    outside.checkpoint_at(&job, 20);
    outside.checkpoint_at(&job, 40);
    job.handle.abandon();
    job.is_gone();
    let newest = outside.store.paths().into_iter().rfind(|path| path.contains("/chain/")).unwrap();
    outside.store.damage(&newest, |bytes| bytes[40] ^= 1);
    outside.store.out_of_reach(true);
    let job = outside.world().operator("count", count()).resume_from(COUNT, Some(CheckpointId(1)));
    job.hears(|kind| matches!(kind, JobEventKind::State { state: JobState::Restarting, cause: Some(_) }));
    outside.store.out_of_reach(false);
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(1)));
}
