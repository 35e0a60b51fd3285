//! What a guest may not do, and how much of the rest.

use gristmill_ports::state::StateError;
use gristmill_types::{Column, StateIndex};

use crate::conformance::Open;
use crate::conformance::fixture::*;

pub(crate) fn broken_contracts_are_named(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&batch(&[Some("a"), None]), NOW);
    let one = texts(&["1"]);
    let wrong = |state: &str, kind, function| StateError::WrongKind { state: state.to_owned(), kind, function };
    let cases = [
        (backend.put(StateIndex(3), &[0], &one), StateError::UnknownState { index: 3, declared: 3 }),
        (backend.put(LIST, &[0], &one), wrong("seen", "append-list", "put")),
        (backend.get(MAP, &[0]).map(drop), wrong("sums", "ordered-map", "get")),
        (backend.map_scan(VALUE, 0, b"", None, 1).map(drop), wrong("count", "value", "map-scan")),
        (backend.list_clear(VALUE, &[0]), wrong("count", "value", "list-clear")),
        (backend.put(VALUE, &[2], &one), StateError::RowOutOfRange { row: 2, rows: 2 }),
        (backend.get(VALUE, &[0, u32::MAX]).map(drop), StateError::RowOutOfRange { row: u32::MAX, rows: 2 }),
        (backend.get(VALUE, &[1]).map(drop), StateError::NoKey { row: 1 }),
        (backend.list_scan(LIST, 1, None, 1).map(drop), StateError::NoKey { row: 1 }),
        (backend.put(VALUE, &[0, 0], &one), StateError::Uneven { rows: 2, values: 1 }),
        (backend.map_get(MAP, &[0, 0], &one).map(drop), StateError::Uneven { rows: 2, values: 1 }),
        (backend.map_put(MAP, &[0], &one, &texts(&[])), StateError::Uneven { rows: 1, values: 0 }),
        (
            backend.list_append(LIST, &[0, 0], &column(&[Some("1"), None])),
            StateError::NullValue { place: 1, function: "list-append" },
        ),
        (backend.map_put(MAP, &[0], &column(&[None]), &one), StateError::NullValue { place: 0, function: "map-put" }),
        (backend.list_scan(LIST, 0, Some(b"strange"), 1).map(drop), StateError::StrangeCursor),
    ];
    for (got, expected) in cases {
        assert_eq!(got, Err(expected));
    }
    assert_eq!(backend.mark().0, 0, "a refused write leaves nothing");
}

pub(crate) fn one_call_cannot_write_without_end(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]), NOW);
    let large = vec![0; 64 << 20];
    let large: Column = [Some(large.as_slice())].into_iter().collect();
    let refused = (0..1000).map(|_| backend.put(VALUE, &[0], &large)).find_map(Result::err);
    assert!(matches!(refused, Some(StateError::WriteSetFull { .. })), "{refused:?}");
}

pub(crate) fn one_read_cannot_hand_over_without_end(open: Open) {
    let mut backend = open(&descriptor());
    let large = vec![0; 4 << 20];
    let large: Column = [Some(large.as_slice())].into_iter().collect();
    backend.begin(&keyed(&["a"]), NOW);
    backend.map_put(MAP, &[0], &texts(&["k"]), &large).unwrap();
    backend.list_append(LIST, &[0], &large).unwrap();
    let (rows, keys) = (vec![0; 2000], texts(&["k"; 2000]));
    let refused = backend.map_get(MAP, &rows, &keys);
    assert!(matches!(refused, Err(StateError::ReadTooLarge { .. })), "8 GiB were handed over");
    backend.commit().unwrap();

    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for chunk in keys.chunks(10) {
        backend.begin(&keyed(chunk), NOW);
        (0..10).for_each(|row| backend.put(VALUE, &[row], &large).unwrap());
        backend.commit().unwrap();
    }
    backend.begin(&keyed(&keys), NOW);
    let rows: Vec<u32> = (0..100).collect();
    assert!(matches!(backend.get(VALUE, &rows), Err(StateError::ReadTooLarge { .. })));
    assert_eq!(backend.get(VALUE, &rows[..20]).unwrap().values.data().len(), 80 << 20, "fewer rows are read");
}
