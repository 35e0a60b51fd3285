//! The obvious version of each decision in turn, and the proof that the onlooker notices what it does.

use crate::{SEEDS, run};

/// What a driver does that did not think of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obvious {
    /// It commits when all have acknowledged: the manifest will surely be stored.
    CommitsWhatIsNotDecided,
    /// It acknowledges first and writes then.
    AcknowledgesBeforeItIsDurable,
    /// It goes on from a checkpoint without committing what that lists.
    ForgetsWhatWasNotCommitted,
    /// It throws away what a failed checkpoint has staged.
    AbortsOutputOfFailedCheckpoints,
    /// It takes an error of the store for a no, cleans up and starts again.
    TakesAnErrorForANo,
    /// It goes on from the one before if the newest cannot be read.
    SkipsWhatItCannotRead,
    /// It takes over without a word in the chain.
    ClaimsNothing,
    /// It puts what it has to put, whatever stands there.
    PutsWhateverStandsThere,
    /// It claims a slot that is free without asking why it is.
    TrustsItsClaim,
    /// It deletes what it merged at once.
    DeletesWhatItMerged,
    /// It looks for what earlier attempts left behind when it has time for it.
    SweepsWhatItFindsLater,
    /// Its subtasks take no part in checkpoints once their input has ended.
    EndedSubtasksStayAway,
    /// It leaves when its input has ended.
    LeavesAtTheEndOfInput,
}

/// Plays seeds until something goes wrong.
fn goes_wrong(obvious: Obvious) {
    let found = (0..10 * SEEDS).find_map(|seed| Some((seed, run(seed, Some(obvious)).err()?)));
    assert!(found.is_some(), "{obvious:?} did no harm that anybody noticed");
}

#[test]
fn protocol_1_output_that_is_committed_before_the_manifest_stands_comes_twice() {
    goes_wrong(Obvious::CommitsWhatIsNotDecided);
}

#[test]
fn protocol_2_what_is_acknowledged_before_it_is_durable_is_lost() {
    goes_wrong(Obvious::AcknowledgesBeforeItIsDurable);
}

#[test]
fn protocol_2_output_that_a_manifest_lists_and_recovery_forgets_is_lost() {
    goes_wrong(Obvious::ForgetsWhatWasNotCommitted);
}

#[test]
fn protocol_3_output_of_a_failed_checkpoint_that_is_aborted_is_lost() {
    goes_wrong(Obvious::AbortsOutputOfFailedCheckpoints);
}

#[test]
fn protocol_3_a_manifest_of_unknown_fate_that_is_taken_for_lost_is_not() {
    goes_wrong(Obvious::TakesAnErrorForANo);
}

#[test]
fn protocol_6_a_decided_checkpoint_that_is_skipped_comes_twice() {
    goes_wrong(Obvious::SkipsWhatItCannotRead);
}

#[test]
fn protocol_7_without_a_claim_a_stopped_host_decides_what_was_thrown_away() {
    goes_wrong(Obvious::ClaimsNothing);
}

#[test]
fn protocol_7_a_slot_that_is_overwritten_has_two_truths() {
    goes_wrong(Obvious::PutsWhateverStandsThere);
}

#[test]
fn protocol_7_a_claim_in_a_slot_that_was_left_free_brings_the_past_back() {
    goes_wrong(Obvious::TrustsItsClaim);
}

#[test]
fn protocol_9_files_that_are_deleted_when_they_are_merged_are_still_named() {
    goes_wrong(Obvious::DeletesWhatItMerged);
}

#[test]
fn protocol_9_a_late_sweep_takes_what_the_successor_wrote() {
    goes_wrong(Obvious::SweepsWhatItFindsLater);
}

#[test]
fn protocol_16_an_ended_subtask_that_stays_away_stops_all_checkpoints() {
    goes_wrong(Obvious::EndedSubtasksStayAway);
}

#[test]
fn protocol_16_without_a_final_checkpoint_the_last_output_is_lost() {
    goes_wrong(Obvious::LeavesAtTheEndOfInput);
}
