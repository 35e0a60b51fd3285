//! What every state backend must do, whichever it is: one suite, run for each backend of this crate.
//!
//! `promises` holds the promises of the port one by one; `random_calls` compares a backend with a naive model under
//! random calls, times, freezes, restores and merges. A new backend is one more module here.
//!
//! Beside the backends there is one over a cold store that is moody: see [`moody`]. It comes into states that a real
//! database comes into once in a month.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

pub(crate) mod fixture;
mod model;
mod moody;
mod promises;
mod random_calls;

use gristmill_ports::StateBackend;
use gristmill_types::{Descriptor, MaxParallelism};

use crate::{MemoryBackend, RocksDbBackend};

/// Opens an empty backend.
type Open = fn(&Descriptor) -> Box<dyn StateBackend>;

/// A backend that keeps what is beyond this many bytes on disk.
fn rocksdb(descriptor: &Descriptor, memory_bytes: usize) -> Box<dyn StateBackend> {
    let dir = tempfile::tempdir().unwrap();
    let (groups, max) = (fixture::ALL_GROUPS, MaxParallelism::DEFAULT);
    // The backend removes the folder when it ends.
    Box::new(RocksDbBackend::open(descriptor, groups, max, &dir.keep(), memory_bytes).unwrap())
}

/// Runs promises for one backend, each as a test of its own, and random calls: fewer where each case opens databases.
macro_rules! suite {
    ($backend:ident, $open:expr, cases: $cases:expr, sizes_are_exact: $exact:expr, $promises:ident) => {
        mod $backend {
            use super::*;
            const OPEN: Open = $open;

            $promises!();

            #[test]
            fn random_calls_do_what_the_model_does() {
                random_calls::random_calls_do_what_the_model_does(OPEN, $cases, $exact);
            }
        }
    };
}

/// Each of these promises as a test.
macro_rules! promise {
    ($($promise:ident),* $(,)?) => {
        $(#[test]
        fn $promise() {
            promises::$promise(OPEN);
        })*
    };
}

/// What holds however short memory is.
macro_rules! promises_without_room {
    () => {
        promise! {
            rows_of_one_key_share_a_slot,
            absent_is_null_and_empty_is_not,
            of_several_puts_to_one_key_the_last_wins,
            a_call_sees_its_own_writes,
            a_rolled_back_call_leaves_nothing,
            a_mark_takes_back_only_what_came_after_it,
            an_open_call_is_rolled_back_by_the_next,
            a_list_keeps_its_order_over_pages,
            a_map_scan_is_ascending_and_keeps_to_its_prefix,
            a_page_keeps_to_its_bound_but_holds_one_entry,
            a_cursor_survives_writes_between_pages,
            broken_contracts_are_named,
            state_is_used_only_within_a_call,
            one_call_cannot_write_without_end,
            one_read_cannot_hand_over_without_end,
            a_frozen_list_is_what_it_was,
            a_frozen_list_keeps_what_expires_after_the_freeze,
            no_second_freeze_before_the_first_is_drained,
            states_are_found_again_by_their_names,
            a_state_of_another_schema_or_kind_is_refused_in_words,
            what_has_expired_is_never_returned,
            a_write_begins_another_life,
            a_time_to_live_can_be_switched_on_and_off,
            the_clock_of_a_time_to_live_can_be_switched,
            what_is_restored_before_the_first_watermark_lives_on_behind_it,
            a_file_in_two_lists_counts_for_the_groups_of_each,
            merging_drops_what_has_expired_and_lets_nothing_older_rise,
        }
    };
}

/// Everything. What counts sizes and changes holds only where there is room: elsewhere sizes are estimates, and what a
/// checkpoint tells is the same, yet not as briefly, since changes are drained ahead of the freeze.
macro_rules! promises_with_room {
    () => {
        promises_without_room!();
        promise! {
            freezing_cuts_between_before_and_after,
            a_growing_list_tells_only_what_was_appended,
            an_emptied_map_is_one_change_and_hides_what_was_in_it,
            deletions_are_told_once,
            what_comes_and_goes_leaves_no_trace,
            restoring_takes_only_the_key_groups_asked_for,
            every_flipped_byte_of_a_file_is_noticed_and_named,
            what_has_expired_is_deleted_though_nobody_asks,
            a_large_map_is_swept_slice_by_slice,
            size_counts_what_lives,
        }
    };
}

suite!(
    memory,
    |descriptor| Box::new(MemoryBackend::new(descriptor, fixture::ALL_GROUPS, MaxParallelism::DEFAULT)),
    cases: 512,
    sizes_are_exact: true,
    promises_with_room
);

suite!(
    rocksdb_with_room,
    |descriptor| rocksdb(descriptor, 64 << 20),
    cases: 64,
    sizes_are_exact: true,
    promises_with_room
);

// So little memory that nearly everything leaves at the end of each call, and comes back with the next.
suite!(
    rocksdb_without_room,
    |descriptor| rocksdb(descriptor, 1 << 10),
    cases: 128,
    sizes_are_exact: false,
    promises_without_room
);

suite!(moods, moody::open, cases: 1500, sizes_are_exact: false, promises_without_room);
