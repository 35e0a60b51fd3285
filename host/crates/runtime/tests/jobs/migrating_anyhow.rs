//! Whatever comes between swaps of versions that keep their counts in different kinds of state, and in whatever stage
//! of a swap it comes, what is committed is what a count comes to whose state is rewritten as a whole at the switch.

use gristmill_checkpoint::swap::SwapStage;
use gristmill_runtime::SwapReport;
use proptest::prelude::*;

use crate::migrating::has_rewritten;
use crate::story::{ALL, KEYS, PAGE, Stays, Story, Turn};
use crate::swapping::{over, until};
use crate::versions::Version;

fn has_one_page(report: &SwapReport) -> bool {
    report.rewriting.as_ref().is_some_and(|rewritten| rewritten.keys == PAGE as u64)
}

#[test]
fn a_host_that_ends_between_two_pages_of_the_background_leaves_the_other_keys_to_the_next() {
    let mut story = Story::begins();
    story.goes_on(Turn::Swap { stays: Stays::Decided, at_once: true, passes: PAGE as u64 + 50 });
    until(&mut story.newest(), has_one_page);
    story.goes_on(Turn::Checkpoint);
    story.goes_on(Turn::Crash { heard: true });
    has_rewritten(&story.job, (KEYS - PAGE) as u64);
    story.ends();
}

#[test]
fn a_swap_that_is_withdrawn_between_two_pages_of_the_background_takes_both_parts_back() {
    let mut story = Story::begins();
    story.goes_on(Turn::Swap { stays: Stays::Decided, at_once: false, passes: PAGE as u64 + 50 });
    until(&mut story.newest(), has_one_page);
    story.goes_on(Turn::Play(500));
    story.goes_on(Turn::Withdraw);
    story.host.lets_all();
    assert_eq!(over(&mut story.newest()).stage, SwapStage::Undone);
    assert_eq!(story.runs(), Version::FIRST);
    story.ends();
}

/// Whoever hears that a swap is undone forgets the only module that knows both schemas.
#[test]
fn a_swap_is_said_to_be_undone_once_a_checkpoint_has_nothing_of_it() {
    for blow in [Turn::Crash { heard: true }, Turn::Restart] {
        let mut story = Story::begins();
        story.goes_on(Turn::Swap { stays: Stays::Decided, at_once: false, passes: ALL });
        story.goes_on(Turn::Play(500));
        story.goes_on(Turn::Withdraw);
        assert_eq!(over(&mut story.newest()).stage, SwapStage::Undone);
        story.goes_on(blow);
        assert_eq!(story.runs(), Version::FIRST);
        story.ends();
    }
}

/// The newest checkpoint may still have state of the version before the one that runs, which that one rewrites.
#[test]
fn what_the_swap_before_has_left_is_not_taken_for_something_to_be_rewritten_back() {
    let mut story = Story::begins();
    story.goes_on(Turn::Swap { stays: Stays::Decided, at_once: true, passes: ALL });
    while story.is_rewriting() {
        std::thread::yield_now();
    }
    story.goes_on(Turn::Swap { stays: Stays::Switched, at_once: false, passes: ALL });
    story.goes_on(Turn::Crash { heard: true });
    assert_eq!(over(&mut story.newest()).stage, SwapStage::Undone, "{:?}", story.host.complaints.all());
    assert_eq!(story.runs(), Version::FIRST.successor());
    story.ends();
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let stays = prop::sample::select(vec![Stays::Nowhere, Stays::Prepared, Stays::Switched, Stays::Decided]);
    let swap = (stays, any::<bool>(), 0u64..6_000);
    let turn = prop_oneof![
        6 => (1usize..800).prop_map(Turn::Play),
        2 => Just(Turn::Checkpoint),
        2 => Just(Turn::CheckpointUnderWay),
        3 => any::<bool>().prop_map(|heard| Turn::Crash { heard }),
        1 => Just(Turn::Suspend),
        1 => Just(Turn::Restart),
        6 => swap.prop_map(|(stays, at_once, passes)| Turn::Swap { stays, at_once, passes }),
        3 => Just(Turn::Promote),
        3 => Just(Turn::Withdraw),
        2 => Just(Turn::Rewritten),
    ];
    prop::collection::vec(turn, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_between_swaps_it_is_as_if_all_state_were_rewritten_at_the_switch(turns in turns()) {
        let mut story = Story::begins();
        turns.into_iter().for_each(|turn| story.goes_on(turn));
        story.ends();
    }
}
