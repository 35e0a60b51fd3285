use gristmill_checkpoint::seating::Place;
use gristmill_types::descriptor::{ClockKind, StateScope, StateSpec};

use super::*;
use crate::task::NaiveState;

const TIME: StateTime = StateTime { processing_ms: 0, event_ms: 0 };
const KEYS: u32 = 20;

/// Keeps all as it is.
struct Same;

impl Migrator for Same {
    fn migrate(&mut self, _: Migration<'_>, page: &Entries) -> Result<Entries, CallFailure> {
        Ok(page.clone())
    }
}

fn states() -> Vec<StateSpec> {
    let state = |version| StateSpec {
        name: "n".to_owned(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        version,
        ttl_ms: None,
        ttl_clock: ClockKind::EventTime,
    };
    vec![state(1), state(2)]
}

fn one_move() -> Move {
    let place = |at: u32| Place { seat: StateIndex(at), version: at + 1, kind: StateKind::Value };
    Move { state: "n".to_owned(), from: place(0), to: place(1) }
}

/// Twenty keys, each with a value of a mebibyte.
fn large() -> (EventBatch, NaiveState) {
    let mut events = EventBatch::default();
    (0..KEYS).for_each(|key| events.push(0, Some(format!("k{key}").as_bytes()), None));
    let events = events.hashed();
    let mut state = NaiveState::of(&states());
    let rows: Vec<u32> = (0..KEYS).collect();
    state.begin(&events, TIME);
    let value = vec![7; 1 << 20];
    state.put(StateIndex(0), &rows, &rows.iter().map(|_| Some(&value[..])).collect()).unwrap();
    state.commit().unwrap();
    (events, state)
}

#[test]
fn keys_with_more_bytes_than_are_moved_at_once_are_moved_in_several_transactions() {
    let (events, mut state) = large();
    let rows: Vec<u32> = (0..KEYS).collect();
    state.begin(&events, TIME);
    assert!(matches!(read(&one_move(), &rows, &mut state), Err(StateError::ReadTooLarge { .. })));
    assert_eq!(read(&one_move(), &rows[..5], &mut state).unwrap().len(), 5);
    state.roll_back();
    Rewriting::new(Box::new(Same), vec![one_move()]).rewrite(&events, &mut state, TIME).unwrap();
    state.begin(&events, TIME);
    let there = |state: &mut NaiveState, at| state.get(StateIndex(at), &rows).unwrap().values.iter().flatten().count();
    assert_eq!((there(&mut state, 0), there(&mut state, 1)), (0, 20));
}
