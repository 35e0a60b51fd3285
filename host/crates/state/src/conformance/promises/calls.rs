//! A call is a transaction.

use gristmill_ports::state::{StateError, StateSize};

use crate::conformance::Open;
use crate::conformance::fixture::*;

// Rule 20.
pub(crate) fn a_call_sees_its_own_writes(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]), NOW);
    backend.map_put(MAP, &[0, 0], &texts(&["x", "y"]), &texts(&["1", "2"])).unwrap();
    backend.list_append(LIST, &[0], &texts(&["old"])).unwrap();
    backend.commit().unwrap();

    backend.begin(&keyed(&["a"]), NOW);
    backend.put(VALUE, &[0], &texts(&["1"])).unwrap();
    assert_eq!(strings(&backend.get(VALUE, &[0]).unwrap().values), [Some("1".to_owned())]);
    backend.list_append(LIST, &[0], &texts(&["new"])).unwrap();
    assert_eq!(whole_list(&mut *backend, 0, 1), [b"old".to_vec(), b"new".to_vec()]);
    backend.map_put(MAP, &[0, 0], &texts(&["w", "x"]), &column(&[Some("0"), None])).unwrap();
    let got = backend.map_get(MAP, &[0, 0, 0], &texts(&["w", "x", "y"])).unwrap();
    assert_eq!(got, column(&[Some("0"), None, Some("2")]));
    let entry = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    assert_eq!(whole_map(&mut *backend, 0, b"", 1), [entry("w", "0"), entry("y", "2")]);
    backend.map_clear(MAP, &[0]).unwrap();
    backend.list_clear(LIST, &[0]).unwrap();
    backend.map_put(MAP, &[0], &texts(&["z"]), &texts(&["9"])).unwrap();
    assert_eq!(whole_map(&mut *backend, 0, b"", 1), [entry("z", "9")]);
    assert!(whole_list(&mut *backend, 0, 1).is_empty());
}

pub(crate) fn a_rolled_back_call_leaves_nothing(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]), NOW);
    backend.put(VALUE, &[0], &texts(&["1"])).unwrap();
    backend.list_append(LIST, &[0], &texts(&["1"])).unwrap();
    backend.map_put(MAP, &[0], &texts(&["1"]), &texts(&["1"])).unwrap();
    backend.roll_back();
    assert_eq!(backend.size(), StateSize::default());
    backend.begin(&keyed(&["a"]), NOW);
    assert_eq!(strings(&backend.get(VALUE, &[0]).unwrap().values), [None]);
    assert!(whole_list(&mut *backend, 0, 9).is_empty() && whole_map(&mut *backend, 0, b"", 9).is_empty());
}

pub(crate) fn a_mark_takes_back_only_what_came_after_it(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a", "b"]), NOW);
    backend.put(VALUE, &[0], &texts(&["kept"])).unwrap();
    let mark = backend.mark();
    backend.put(VALUE, &[0, 1], &texts(&["gone", "gone"])).unwrap();
    assert_eq!(strings(&backend.get(VALUE, &[0]).unwrap().values), [Some("gone".to_owned())]);
    backend.roll_back_to(mark);
    let read = backend.get(VALUE, &[0, 1]).unwrap();
    assert_eq!(strings(&read.values), [Some("kept".to_owned()), None]);
    backend.commit().unwrap();
    assert_eq!(value_of(&mut *backend, "a"), Some("kept".to_owned()));
}

pub(crate) fn an_open_call_is_rolled_back_by_the_next(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]), NOW);
    backend.put(VALUE, &[0], &texts(&["1"])).unwrap();
    backend.begin(&keyed(&["a"]), NOW);
    backend.commit().unwrap();
    assert_eq!(value_of(&mut *backend, "a"), None);
}

pub(crate) fn state_is_used_only_within_a_call(open: Open) {
    let mut backend = open(&descriptor());
    assert_eq!(backend.get(VALUE, &[0]), Err(StateError::OutsideCall));
    backend.begin(&keyed(&["a"]), NOW);
    backend.commit().unwrap();
    assert_eq!(backend.put(VALUE, &[0], &texts(&["1"])), Err(StateError::OutsideCall));
}
