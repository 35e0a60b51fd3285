mod kinds;

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

fn between(from: StateKind, to: StateKind) -> Move {
    let place = |at: u32, kind| Place { seat: StateIndex(at), version: at + 1, kind };
    Move { state: "n".to_owned(), from: place(0, from), to: place(1, to) }
}

/// Twenty keys, each with a mebibyte, in one value or in four parts.
fn large(one: &Move) -> (EventBatch, NaiveState) {
    let mut events = EventBatch::default();
    (0..KEYS).for_each(|key| events.push(0, Some(format!("k{key}").as_bytes()), None));
    let events = events.hashed();
    let mut state = NaiveState::default();
    state.begin(&events, TIME);
    let parts: u8 = if one.from.kind == StateKind::Value { 1 } else { 4 };
    let value = vec![7_u8; (1 << 20) / usize::from(parts)];
    let names: Vec<[u8; 1]> = (0..parts).map(|part| [part]).collect();
    for row in 0..KEYS {
        let map_keys = names.iter().map(|name| Some(&name[..])).collect();
        let values = names.iter().map(|_| Some(&value[..])).collect();
        let entries = Entries { map_keys, values, ..Entries::default() };
        write(&one.back(), &vec![row; names.len()], &entries, &mut state).unwrap();
    }
    state.commit().unwrap();
    (events, state)
}

#[test]
fn keys_with_more_bytes_than_are_moved_at_once_are_moved_in_several_transactions() {
    for kind in [StateKind::Value, StateKind::AppendList, StateKind::OrderedMap] {
        let one = between(kind, kind);
        let (events, mut state) = large(&one);
        let rows: Vec<u32> = (0..KEYS).collect();
        state.begin(&events, TIME);
        assert!(matches!(read(&one, &rows, &mut state), Err(StateError::ReadTooLarge { .. })));
        assert_eq!(read(&one, &rows[..5], &mut state).unwrap().len(), 5);
        state.roll_back();
        Rewriting::new(Box::new(Same), vec![one.clone()]).rewrite(&events, &mut state, TIME).unwrap();
        state.begin(&events, TIME);
        let mut have = |one: &Move| rows.iter().map(|row| read(one, &[*row], &mut state).unwrap().len()).sum::<usize>();
        assert_eq!((have(&one), have(&one.back())), (0, 20), "{kind:?}");
    }
}
