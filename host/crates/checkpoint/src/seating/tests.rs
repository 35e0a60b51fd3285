use gristmill_types::descriptor::{ClockKind, StateScope};

use super::*;

fn state(name: &str, version: u32) -> StateSpec {
    StateSpec {
        name: name.to_owned(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        version,
        ttl_ms: None,
        ttl_clock: ClockKind::EventTime,
    }
}

fn seats(seating: &Seating) -> Vec<u32> {
    seating.seats.iter().map(|seat| seat.0).collect()
}

fn moves(seating: &Seating) -> Vec<(u32, u32)> {
    seating.moves.iter().map(|one| (one.from.seat.0, one.to.seat.0)).collect()
}

#[test]
fn a_module_with_the_same_states_is_seated_as_it_is() {
    let states = [state("sum", 1), state("last", 3)];
    let seating = Seating::among(&states, &states);
    assert_eq!((seats(&seating), moves(&seating), seating.is_plain()), (vec![0, 1], vec![], true));
    assert_eq!(seating.states, states);
}

#[test]
fn states_in_another_order_are_found_where_they_are() {
    let seating = Seating::among(&[state("sum", 1), state("last", 3)], &[state("last", 3), state("sum", 1)]);
    assert_eq!((seats(&seating), moves(&seating), seating.is_plain()), (vec![1, 0], vec![], false));
}

#[test]
fn a_new_state_comes_last_and_a_dropped_one_stays_unseen() {
    let seating = Seating::among(&[state("sum", 1), state("last", 3)], &[state("first", 1), state("last", 3)]);
    assert_eq!((seats(&seating), moves(&seating)), (vec![2, 1], vec![]));
    assert_eq!(seating.states.len(), 3);
}

#[test]
fn a_state_of_another_schema_is_moved_into_an_empty_one() {
    let seating = Seating::among(&[state("sum", 1), state("last", 3)], &[state("sum", 2), state("last", 3)]);
    assert_eq!((seats(&seating), moves(&seating)), (vec![2, 1], vec![(0, 2)]));
    let moved = Seating::moved(&seating.states, &seating.moves);
    assert_eq!(moved.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["", "last", "sum"]);
    let next = Seating::among(&moved, &[state("sum", 3), state("last", 3)]);
    assert_eq!((seats(&next), moves(&next)), (vec![3, 1], vec![(2, 3)]), "the empty one is nobody's");
}

#[test]
fn a_kind_that_changed_is_another_schema() {
    let map = StateSpec { kind: StateKind::OrderedMap, ..state("sum", 2) };
    assert_eq!(moves(&Seating::among(&[state("sum", 1)], &[map])), [(0, 1)]);
}

#[test]
fn the_way_back_is_a_move_like_any_other() {
    let seating = Seating::among(&[state("sum", 1)], &[state("sum", 2)]);
    let back = seating.moves[0].back();
    assert_eq!((back.from.seat.0, back.from.version, back.to.seat.0, back.to.version), (1, 2, 0, 1));
    let old = Seating::among(&seating.states, &[state("sum", 1)]);
    assert_eq!(old.moves, [back]);
}

#[test]
fn a_restore_in_the_middle_of_a_move_goes_on_with_both() {
    let stored = [state("sum", 1), state("gone", 1), state("sum", 2), state("", 7)];
    let seating = Seating::restored(&stored, &[state("sum", 2)]);
    assert_eq!((seats(&seating), moves(&seating)), (vec![1], vec![(0, 1)]));
    let back = Seating::restored(&stored, &[state("sum", 1)]);
    assert_eq!((seats(&back), moves(&back)), (vec![0], vec![(1, 0)]));
    let third = Seating::restored(&stored, &[state("sum", 3)]);
    assert_eq!((seats(&third), moves(&third)), (vec![2], vec![(0, 2), (1, 2)]), "every version that is there");
}

#[test]
fn a_restore_takes_times_to_live_from_the_module() {
    let lasting = StateSpec { ttl_ms: Some(5), ..state("sum", 1) };
    let seating = Seating::restored(&[state("sum", 1)], std::slice::from_ref(&lasting));
    assert_eq!((seating.is_plain(), &seating.states[0]), (true, &lasting));
}
