//! What a migration may answer: every way in which an answer can lie, and what is made of those that do not (rule 22).

use gristmill_ports::migration::Entries;
use gristmill_types::descriptor::StateKind::{self, AppendList, OrderedMap, Value};
use gristmill_types::failure::FaultKind::InvalidResult;
use gristmill_types::{CallFailure, Column};

use super::fixture::{assert_fault, options};
use super::guest::{Guest, HONEST, Raw};
use super::migration::{migrating, migration, page, texts};

/// No rows.
const NONE: Raw<'static> = (&[], b"", &[]);
/// The keys of the page.
const KEYS: Raw<'static> = (&[1, 2, 3], b"abc", &[]);
/// Two values, `x` and `y`; or two map keys.
const TWO: Raw<'static> = (&[1, 2], b"xy", &[]);

/// An answer: keys, owners, map keys, values.
type Answer<'a> = (Raw<'a>, &'a [u32], Raw<'a>, Raw<'a>);

/// What is made of an answer to the page of the keys `a`, `b` and `c`, if the state is to be of this kind.
fn answering(to_kind: StateKind, (keys, owners, map_keys, values): Answer<'_>) -> Result<Entries, CallFailure> {
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.entries(keys, owners, map_keys, values);
    let guest = guest.migrate(&format!("(i32.const {at})"));
    migrating(guest, &options())?.migrator.migrate(migration(Value, to_kind), &page())
}

#[test]
fn an_answer_that_lies_is_a_fault_that_says_how() {
    let lies: &[(StateKind, Answer<'_>, &str)] = &[
        (Value, ((&[1], b"z", &[]), &[], NONE, NONE), "key 0 of the answer is not one of the page's 3"),
        (Value, ((&[1, 2], b"ba", &[]), &[], NONE, NONE), "key 1 of the answer is not one of the page's 3, or not in"),
        (Value, ((&[1, 2], b"aa", &[]), &[0, 1], NONE, TWO), "key 1 of the answer"),
        (Value, ((&[0], b"", &[0]), &[], NONE, NONE), "key 0 of the answer"),
        (Value, (KEYS, &[0, 3], NONE, TWO), "an entry belongs to key 3, but the answer has 3 keys"),
        (Value, (KEYS, &[u32::MAX], NONE, (&[1], b"x", &[])), "an entry belongs to key 4294967295"),
        (Value, (KEYS, &[2, 0], NONE, TWO), "owners do not ascend at their place 1"),
        (Value, (KEYS, &[0], NONE, TWO), "2 values have 1 owners"),
        (Value, (KEYS, &[0, 1, 2], NONE, TWO), "2 values have 3 owners"),
        (Value, (KEYS, &[1, 1], NONE, TWO), "key 1 has two values, but the state holds one for each"),
        (Value, (KEYS, &[0, 1], TWO, TWO), "2 map keys for a state that is no map"),
        (AppendList, (KEYS, &[0, 1], TWO, TWO), "2 map keys for a state that is no map"),
        (AppendList, (KEYS, &[0, 0], NONE, (&[1, 1], b"x", &[1])), "item 1 is null"),
        (OrderedMap, (KEYS, &[0, 1], NONE, TWO), "2 values have 0 map keys"),
        (OrderedMap, (KEYS, &[0], (&[0], b"", &[0]), (&[1], b"x", &[])), "map key 0 is null"),
        (OrderedMap, (KEYS, &[1, 1], (&[1, 2], b"nn", &[]), TWO), "map key 1 does not follow the one before"),
        (OrderedMap, (KEYS, &[1, 1], (&[1, 2], b"nm", &[]), TWO), "map key 1 does not follow the one before"),
        (Value, (KEYS, &[0, 1], NONE, (&[2, 1], b"xy", &[])), "values of migrated entries: the last of `ends` is 1"),
        (Value, ((&[2, 1, 3], b"abc", &[]), &[], NONE, NONE), "keys of migrated entries: `ends` goes back"),
        (OrderedMap, (KEYS, &[0], (&[1], b"n", &[4]), TWO), "map keys of migrated entries: `nulls` names row 4 of 1"),
    ];
    for (to_kind, answer, says) in lies {
        assert_fault(answering(*to_kind, *answer), InvalidResult, says);
    }
}

#[test]
fn a_lie_is_told_with_the_name_of_the_state() {
    let lie = answering(Value, (KEYS, &[0], NONE, TWO));
    assert_fault(lie, InvalidResult, "`migrate` of state `count`: 2 values have 1 owners");
}

#[test]
fn keys_that_are_left_out_come_back_without_entries() {
    let answer = answering(Value, ((&[1], b"c", &[]), &[0], NONE, (&[1], b"x", &[]))).expect("an answer");
    assert_eq!(
        answer,
        Entries { keys: page().keys, owners: vec![2], map_keys: Column::default(), values: texts(&["x"]) }
    );
    let nothing = answering(Value, (NONE, &[], NONE, NONE)).expect("an answer");
    assert_eq!(nothing, Entries { keys: page().keys, ..Entries::default() });
}

#[test]
fn a_value_may_become_a_list_or_a_map_of_many() {
    let list = answering(AppendList, (KEYS, &[1, 1], NONE, TWO)).expect("an answer");
    assert_eq!((list.owners, list.values), (vec![1, 1], texts(&["x", "y"])));
    let names: Raw<'_> = (&[1, 2], b"nn", &[]);
    let map = answering(OrderedMap, (KEYS, &[0, 2], names, TWO)).expect("names of different keys may be equal");
    assert_eq!((map.owners, map.map_keys, map.values), (vec![0, 2], texts(&["n", "n"]), texts(&["x", "y"])));
}

#[test]
fn a_null_in_an_answer_stays_a_null() {
    let answer = answering(Value, (KEYS, &[0, 1], NONE, (&[0, 1], b"y", &[0]))).expect("an answer");
    assert_eq!(answer.values, Column::from_iter([None, Some(&b"y"[..])]));
}
