//! Tables: what a swap says to each row of events.

use super::*;

const POLICY: SwapPolicy =
    SwapPolicy { deadline_ms: 1_000, probation_ms: 100, probation_events: 10, bounds: ProbationBounds::NONE };

fn took(subtask: u32) -> SwapEvent {
    SwapEvent::Took(SubtaskIndex(subtask))
}

fn switched(subtask: u32) -> SwapEvent {
    SwapEvent::Switched(SubtaskIndex(subtask))
}

fn storing(checkpoint: u64) -> SwapEvent {
    SwapEvent::Storing(CheckpointId(checkpoint))
}

fn decided(checkpoint: u64) -> SwapEvent {
    SwapEvent::Decided(CheckpointId(checkpoint))
}

fn began(checkpoint: u64) -> SwapEvent {
    SwapEvent::Began(CheckpointId(checkpoint))
}

fn rewind() -> SwapAction {
    SwapAction::Rewind { cause: "it trapped".to_owned() }
}

fn tick(events: u64) -> SwapEvent {
    SwapEvent::Tick { events, conduct: Conduct::default() }
}

fn withdrawn() -> SwapEvent {
    SwapEvent::Withdrawn { cause: "it trapped".to_owned() }
}

/// Plays events to a swap of two subtasks, each at its time, and looks at each answer.
fn play(script: Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)>) -> Swap {
    play_with(POLICY, script)
}

fn play_with(policy: SwapPolicy, script: Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)>) -> Swap {
    let mut swap = Swap::new(policy, [SubtaskIndex(0), SubtaskIndex(1)].into(), 0);
    for (number, (at_ms, event, stage, actions)) in script.into_iter().enumerate() {
        let said = swap.handle(at_ms, event.clone());
        assert_eq!((swap.stage(), said), (stage, actions), "step {number}: {event:?}");
    }
    swap
}

/// Up to the barrier.
fn prepared() -> Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)> {
    vec![
        (1, took(0), SwapStage::Preparing, vec![]),
        (2, took(0), SwapStage::Preparing, vec![]),
        (3, took(1), SwapStage::Prepared, vec![SwapAction::Switch]),
        (4, storing(1), SwapStage::Prepared, vec![]),
        (4, decided(1), SwapStage::Prepared, vec![]),
        (5, SwapEvent::BarrierOut, SwapStage::Switching, vec![]),
    ]
}

fn then(
    mut before: Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)>,
    steps: impl IntoIterator<Item = (u64, SwapEvent, SwapStage, Vec<SwapAction>)>,
) -> Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)> {
    before.extend(steps);
    before
}

/// Up to the probation.
fn on_probation() -> Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)> {
    then(
        prepared(),
        [
            (6, switched(1), SwapStage::Switching, vec![]),
            (7, switched(0), SwapStage::Switched, vec![]),
            (8, storing(3), SwapStage::Switched, vec![]),
            (9, decided(2), SwapStage::Switched, vec![]),
            (10, decided(3), SwapStage::Probation, vec![]),
        ],
    )
}

#[test]
fn a_swap_is_done_after_its_time_and_its_events() {
    let steps = [
        (109, tick(99), SwapStage::Probation, vec![]),
        (110, tick(9), SwapStage::Probation, vec![]),
        (111, tick(10), SwapStage::Done, vec![SwapAction::LetGo]),
        (112, withdrawn(), SwapStage::Done, vec![]),
    ];
    assert!(play(then(on_probation(), steps)).is_over());
}

#[test]
fn a_probation_without_events_ends_after_all() {
    let steps =
        [(1_009, tick(0), SwapStage::Probation, vec![]), (1_010, tick(0), SwapStage::Done, vec![SwapAction::LetGo])];
    play(then(on_probation(), steps));
}

/// As a withdrawal for any other cause: the manifest that names the old module is awaited.
#[test]
fn conduct_beyond_a_bound_withdraws_the_swap_before_its_time_is_over_and_at_its_end() {
    let bounds = ProbationBounds { failures_per_million: Some(0), ..ProbationBounds::NONE };
    let policy = SwapPolicy { bounds, ..POLICY };
    let told = |events, failed| SwapEvent::Tick { events, conduct: Conduct { events, failed, ..Conduct::default() } };
    for at_ms in [20, 5_000] {
        let steps = [
            (15, told(99, 99), SwapStage::Probation, vec![]),
            (at_ms, told(100, 1), SwapStage::Undoing, vec![SwapAction::Recall]),
            (5_001, told(100, 1), SwapStage::Undoing, vec![]),
            (5_002, began(4), SwapStage::Undoing, vec![]),
            (5_002, storing(4), SwapStage::Undoing, vec![]),
            (5_003, decided(4), SwapStage::Undone, vec![]),
        ];
        let swap = play_with(policy, then(on_probation(), steps));
        assert!(swap.cause().unwrap().contains("1 of 100 events failed"), "{:?}", swap.cause());
    }
    let kept = [(110, told(100, 0), SwapStage::Done, vec![SwapAction::LetGo])];
    play_with(policy, then(on_probation(), kept));
    let few = [
        (109, told(20, 1), SwapStage::Probation, vec![]),
        (110, told(20, 1), SwapStage::Undoing, vec![SwapAction::Recall]),
    ];
    play_with(policy, then(on_probation(), few));
}

#[test]
fn a_swap_with_bounds_is_looked_at_all_the_time_of_its_probation() {
    let bounds = ProbationBounds { call_p99_us: Some(1), ..ProbationBounds::NONE };
    assert_eq!(play_with(SwapPolicy { bounds, ..POLICY }, on_probation()).next_tick_ms(), Some(10));
    assert_eq!(play(on_probation()).next_tick_ms(), Some(110));
}

#[test]
fn a_probation_can_be_cut_short() {
    play(then(on_probation(), [(11, SwapEvent::Promoted, SwapStage::Done, vec![SwapAction::LetGo])]));
}

#[test]
fn what_no_manifest_names_never_happened() {
    for at in 0..=prepared().len() {
        let before = prepared().into_iter().take(at).collect();
        let swap = play(then(before, [(9, withdrawn(), SwapStage::Undone, vec![SwapAction::Recall])]));
        assert_eq!(swap.cause(), Some("it trapped"));
    }
}

#[test]
fn what_a_manifest_may_name_is_undone_by_a_later_one_only() {
    let on_its_way = then(
        prepared(),
        [(6, switched(0), SwapStage::Switching, vec![]), (6, storing(2), SwapStage::Switching, vec![])],
    );
    for before in [on_its_way, on_probation()] {
        let steps = [
            (20, withdrawn(), SwapStage::Undoing, vec![SwapAction::Recall]),
            (21, decided(2), SwapStage::Undoing, vec![]),
            (22, withdrawn(), SwapStage::Undoing, vec![]),
            // What its barrier has cut off is from before the way back.
            (23, storing(4), SwapStage::Undoing, vec![]),
            (24, began(5), SwapStage::Undoing, vec![]),
            (25, decided(4), SwapStage::Undoing, vec![]),
            (26, storing(5), SwapStage::Undoing, vec![]),
            (27, began(6), SwapStage::Undoing, vec![]),
            (28, storing(6), SwapStage::Undoing, vec![]),
            (29, decided(5), SwapStage::Undone, vec![]),
        ];
        assert!(play(then(before, steps)).is_over());
    }
}

#[test]
fn a_swap_that_cannot_be_rewritten_back_leaves_it_to_the_manifest_that_stands() {
    let new = || Swap::new(POLICY, [SubtaskIndex(0), SubtaskIndex(1)].into(), 0);
    for (script, left) in [(Vec::new(), SwapStage::Undone), (prepared(), SwapStage::Switching)] {
        let mut swap = new().that_rewrites(true).that_retreats(Retreat::Restart);
        script.into_iter().for_each(|(at_ms, event, ..)| _ = swap.handle(at_ms, event));
        let told = swap.handle(9, withdrawn());
        let expected = match left {
            SwapStage::Undone => SwapAction::Recall,
            _ => rewind(),
        };
        assert_eq!((swap.stage(), told), (left, vec![expected]));
    }
}

#[test]
fn the_deadline_names_who_is_in_the_way() {
    let late = |before: Vec<_>| {
        let swap = play(then(before, [(1_000, tick(0), SwapStage::Undone, vec![SwapAction::Recall])]));
        swap.cause().unwrap().to_owned()
    };
    assert!(late(Vec::new()).starts_with("subtasks 0, 1 did not take"));
    assert!(late(vec![(1, took(0), SwapStage::Preparing, vec![])]).starts_with("subtask 1 did not take"));
    let one_passed = then(prepared(), [(6, switched(0), SwapStage::Switching, vec![])]);
    assert!(late(one_passed).contains("did not come through subtask 1 within 1000 ms"));
}

#[test]
fn a_manifest_that_is_slow_to_be_stored_is_waited_for() {
    let steps = [
        (6, switched(0), SwapStage::Switching, vec![]),
        (6, switched(1), SwapStage::Switched, vec![]),
        (6, storing(2), SwapStage::Switched, vec![]),
        (9_999, tick(0), SwapStage::Switched, vec![]),
        (10_000, decided(2), SwapStage::Probation, vec![]),
    ];
    play(then(prepared(), steps));
}

/// Plays events to a swap that rewinds.
fn play_rewinding(rewrites: bool, script: Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)>) -> Swap {
    let swap = Swap::new(POLICY, [SubtaskIndex(0), SubtaskIndex(1)].into(), 0);
    let mut swap = swap.that_rewrites(rewrites).that_retreats(Retreat::Rewind);
    for (number, (at_ms, event, stage, actions)) in script.into_iter().enumerate() {
        let said = swap.handle(at_ms, event.clone());
        assert_eq!((swap.stage(), said), (stage, actions), "step {number}: {event:?}");
    }
    swap
}

fn share(percent: u32) -> Share {
    percent.try_into().unwrap()
}

/// Plays to a canary of a twentieth.
fn play_canary(policy: SwapPolicy, script: Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)>) -> Swap {
    let mut swap = Swap::new(policy, [SubtaskIndex(0), SubtaskIndex(1)].into(), 0).of_share(share(5));
    for (number, (at_ms, event, mut stage, actions)) in then(on_probation(), script).into_iter().enumerate() {
        let said = swap.handle(at_ms, event.clone());
        if number < on_probation().len() && stage == SwapStage::Probation {
            stage = SwapStage::Canary;
        }
        assert_eq!((swap.stage(), said), (stage, actions), "step {number}: {event:?}");
    }
    swap
}

/// A swap that rewinds, up to its probation: whatever becomes of the checkpoint of its barrier.
fn held() -> Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)> {
    then(
        prepared(),
        [
            (6, switched(1), SwapStage::Switching, vec![]),
            (7, storing(2), SwapStage::Switching, vec![]),
            (8, switched(0), SwapStage::Held, vec![]),
            (9, decided(2), SwapStage::Held, vec![]),
        ],
    )
}

#[test]
fn a_swap_that_rewinds_is_decided_by_a_checkpoint_after_its_probation() {
    let swap = play_rewinding(
        true,
        then(
            held(),
            [
                (50, tick(20), SwapStage::Held, vec![]),
                (108, tick(20), SwapStage::Switched, vec![SwapAction::Name]),
                (109, SwapEvent::Promoted, SwapStage::Switched, vec![]),
                (110, storing(3), SwapStage::Switched, vec![]),
                (111, decided(3), SwapStage::Done, vec![SwapAction::Rewrite, SwapAction::LetGo]),
            ],
        ),
    );
    assert!(swap.is_over() && swap.cause().is_none());
}

#[test]
fn what_is_held_is_undone_by_another_attempt() {
    let swap = play_rewinding(
        true,
        then(
            held(),
            [(50, withdrawn(), SwapStage::Undone, vec![rewind()]), (51, withdrawn(), SwapStage::Undone, vec![])],
        ),
    );
    assert_eq!(swap.cause(), Some("it trapped"));
    // A subtask that has switched has made calls that nothing but another attempt undoes.
    let half = then(
        prepared(),
        [(6, switched(1), SwapStage::Switching, vec![]), (7, withdrawn(), SwapStage::Undone, vec![rewind()])],
    );
    play_rewinding(false, half);
    play_rewinding(false, vec![(1, withdrawn(), SwapStage::Undone, vec![SwapAction::Recall])]);
}

#[test]
fn a_failure_after_the_hold_leaves_it_to_the_manifest_that_stands() {
    play_rewinding(
        false,
        then(
            held(),
            [
                (10, SwapEvent::Promoted, SwapStage::Switched, vec![SwapAction::Name]),
                (11, storing(3), SwapStage::Switched, vec![]),
                (12, withdrawn(), SwapStage::Switched, vec![rewind()]),
            ],
        ),
    );
}

/// All pass the barrier, and its manifest is decided.
fn a_step(at_ms: u64, checkpoint: u64, ends: SwapStage) -> Vec<(u64, SwapEvent, SwapStage, Vec<SwapAction>)> {
    vec![
        (at_ms, SwapEvent::BarrierOut, SwapStage::Switching, vec![]),
        (at_ms, storing(checkpoint), SwapStage::Switching, vec![]),
        (at_ms, switched(0), SwapStage::Switching, vec![]),
        (at_ms, decided(checkpoint), SwapStage::Switching, vec![]),
        (at_ms, switched(1), ends, vec![]),
    ]
}

#[test]
fn a_canary_lasts_is_widened_at_barriers_and_becomes_a_swap_on_probation() {
    let widened = |percent| vec![SwapAction::Widen(share(percent)), SwapAction::Switch];
    let mut script = vec![
        (9_999, tick(99_999), SwapStage::Canary, vec![]),
        (10_000, SwapEvent::Widened(share(5)), SwapStage::Canary, vec![]),
        (10_000, SwapEvent::Widened(share(25)), SwapStage::Prepared, widened(25)),
        (99_000, tick(0), SwapStage::Prepared, vec![]),
    ];
    script.extend(a_step(99_001, 7, SwapStage::Canary));
    script.push((99_002, SwapEvent::Promoted, SwapStage::Prepared, widened(100)));
    script.extend(a_step(99_003, 9, SwapStage::Probation));
    script.push((99_103, tick(10), SwapStage::Done, vec![SwapAction::LetGo]));
    assert!(play_canary(POLICY, script).is_over());
}

/// A manifest has named it, whichever step it was about to take.
#[test]
fn a_canary_is_withdrawn_by_a_later_manifest_wherever_it_is() {
    let widened = || {
        (20, SwapEvent::Widened(share(25)), SwapStage::Prepared, vec![SwapAction::Widen(share(25)), SwapAction::Switch])
    };
    for before in [vec![], vec![widened()], vec![widened(), (21, SwapEvent::BarrierOut, SwapStage::Switching, vec![])]]
    {
        let steps = [
            (22, withdrawn(), SwapStage::Undoing, vec![SwapAction::Recall]),
            (23, SwapEvent::Widened(share(50)), SwapStage::Undoing, vec![]),
            (24, began(8), SwapStage::Undoing, vec![]),
            (24, storing(8), SwapStage::Undoing, vec![]),
            (25, decided(8), SwapStage::Undone, vec![]),
        ];
        assert_eq!(play_canary(POLICY, then(before, steps)).cause(), Some("it trapped"));
    }
}

#[test]
fn bounds_hold_for_a_canary_for_as_long_as_it_lasts() {
    let bounds = ProbationBounds { failures_per_million: Some(0), ..ProbationBounds::NONE };
    let conduct = Conduct { events: 100, failed: 1, ..Conduct::default() };
    let told = SwapEvent::Tick { events: 100, conduct };
    let steps = vec![(99_999, told, SwapStage::Undoing, vec![SwapAction::Recall])];
    play_canary(SwapPolicy { bounds, ..POLICY }, steps);
    assert_eq!(play_canary(POLICY, vec![]).next_tick_ms(), None);
}

#[test]
fn an_attempt_goes_on_with_a_canary_that_a_manifest_names() {
    let new = Swap::new(POLICY, [SubtaskIndex(0)].into(), 50).serving(share(25));
    assert_eq!((new.stage(), new.is_over()), (SwapStage::Canary, false));
    let mut swap = new;
    assert_eq!(swap.handle(51, withdrawn()), [SwapAction::Recall]);
    assert_eq!(swap.stage(), SwapStage::Undoing);
}

/// Whoever goes on from a checkpoint that began before all was rewritten back needs the new module for the rest.
#[test]
fn a_swap_that_has_rewritten_is_undone_once_a_manifest_has_nothing_of_it() {
    let mut swap = Swap::new(POLICY, [SubtaskIndex(0), SubtaskIndex(1)].into(), 0).that_rewrites(true);
    for (at_ms, event, ..) in on_probation() {
        swap.handle(at_ms, event);
    }
    assert_eq!(swap.stage(), SwapStage::Probation);
    let steps = [
        (20, withdrawn(), SwapStage::Undoing, vec![SwapAction::Recall]),
        (21, began(4), SwapStage::Undoing, vec![]),
        (22, storing(4), SwapStage::Undoing, vec![]),
        (23, decided(4), SwapStage::Undoing, vec![SwapAction::Rewrite]),
        (24, began(5), SwapStage::Undoing, vec![]),
        (25, SwapEvent::Returned, SwapStage::Undoing, vec![]),
        (26, withdrawn(), SwapStage::Undoing, vec![]),
        (27, storing(5), SwapStage::Undoing, vec![]),
        (28, decided(5), SwapStage::Undoing, vec![]),
        (29, began(6), SwapStage::Undoing, vec![]),
        (30, storing(6), SwapStage::Undoing, vec![]),
        (31, decided(6), SwapStage::Undone, vec![]),
    ];
    for (number, (at_ms, event, stage, actions)) in steps.into_iter().enumerate() {
        let said = swap.handle(at_ms, event.clone());
        assert_eq!((swap.stage(), said), (stage, actions), "step {number}: {event:?}");
        assert!(swap.cause() == Some("it trapped") && swap.is_over() == (stage == SwapStage::Undone));
    }
}
