//! A freeze cuts between before and after, and hands out each change once.

use gristmill_ports::state::{FrozenChange, FrozenEntry, StateSize};

use crate::Open;
use crate::fixture::*;

fn frozen_value(key: &str, value: Option<&str>) -> FrozenChange {
    let entry = FrozenEntry::Value(value.map(|value| value.as_bytes().into()));
    FrozenChange { state: VALUE, key: key.as_bytes().into(), entry }
}

pub(crate) fn freezing_cuts_between_before_and_after(open: Open) {
    let mut backend = open(&descriptor());
    for key in ["a", "b", "c"] {
        set(&mut *backend, key, Some("before"));
    }
    assert!(backend.freeze());
    set(&mut *backend, "b", Some("after"));
    set(&mut *backend, "c", None);
    set(&mut *backend, "d", Some("after"));
    let before = ["a", "b", "c"].map(|key| frozen_value(key, Some("before")));
    assert_eq!(drain(&mut *backend, 2), before);
    assert!(backend.freeze());
    let after = [frozen_value("b", Some("after")), frozen_value("c", None), frozen_value("d", Some("after"))];
    assert_eq!(drain(&mut *backend, 1), after);
    assert!(backend.freeze());
    assert!(drain(&mut *backend, 1).is_empty(), "what did not change is not told again");
}

pub(crate) fn a_frozen_list_is_what_it_was(open: Open) {
    let mut backend = open(&descriptor());
    let keys = ["appended", "cleared", "both", "left"];
    backend.begin(&keyed(&keys));
    backend.list_append(LIST, &[0, 1, 2, 3, 0], &texts(&["1", "2", "3", "4", "5"])).unwrap();
    backend.commit().unwrap();
    assert!(backend.freeze());
    for _ in 0..2 {
        backend.begin(&keyed(&keys));
        backend.list_append(LIST, &[0, 2], &texts(&["6", "7"])).unwrap();
        backend.list_clear(LIST, &[1, 2]).unwrap();
        backend.list_append(LIST, &[2], &texts(&["8"])).unwrap();
        backend.commit().unwrap();
    }
    let frozen = |key: &str, items: &[&str]| FrozenChange {
        state: LIST,
        key: key.as_bytes().into(),
        entry: FrozenEntry::List(items.iter().map(|item| item.as_bytes().into()).collect()),
    };
    let expected = [("appended", &["1", "5"][..]), ("both", &["3"]), ("cleared", &["2"]), ("left", &["4"])];
    assert_eq!(drain(&mut *backend, 1), expected.map(|(key, items)| frozen(key, items)));
    assert!(backend.freeze());
    let expected = [("appended", &["1", "5", "6", "6"][..]), ("both", &["8"]), ("cleared", &[])];
    assert_eq!(drain(&mut *backend, 9), expected.map(|(key, items)| frozen(key, items)));
}

pub(crate) fn deletions_are_told_once(open: Open) {
    let mut backend = open(&descriptor());
    set(&mut *backend, "a", Some("1"));
    assert!(backend.freeze());
    drain(&mut *backend, 9);
    set(&mut *backend, "a", None);
    set(&mut *backend, "a", Some("2"));
    set(&mut *backend, "a", None);
    assert!(backend.freeze());
    assert_eq!(drain(&mut *backend, 9), [frozen_value("a", None)]);
    assert!(backend.freeze());
    assert!(drain(&mut *backend, 9).is_empty());
}

/// Without this a job without checkpoints would keep a tombstone for every key that it ever saw.
pub(crate) fn what_comes_and_goes_leaves_no_trace(open: Open) {
    let mut backend = open(&descriptor());
    for key in 0..1000 {
        let key = key.to_string();
        backend.begin(&keyed(&[&key]));
        backend.put(VALUE, &[0], &texts(&["1"])).unwrap();
        backend.list_append(LIST, &[0], &texts(&["1"])).unwrap();
        backend.map_put(MAP, &[0], &texts(&["1"]), &texts(&["1"])).unwrap();
        backend.commit().unwrap();
        backend.begin(&keyed(&[&key]));
        backend.put(VALUE, &[0], &column(&[None])).unwrap();
        backend.list_clear(LIST, &[0]).unwrap();
        backend.map_clear(MAP, &[0]).unwrap();
        backend.commit().unwrap();
    }
    assert_eq!(backend.size(), StateSize::default());
    assert!(backend.freeze());
    let told = drain(&mut *backend, 10_000);
    assert!(told.iter().all(|change| !matches!(&change.entry, FrozenEntry::Value(Some(_)))), "{told:?}");
}

pub(crate) fn no_second_freeze_before_the_first_is_drained(open: Open) {
    let mut backend = open(&descriptor());
    set(&mut *backend, "a", Some("1"));
    assert!(backend.freeze());
    set(&mut *backend, "a", Some("2"));
    assert!(!backend.freeze());
    assert_eq!(drain(&mut *backend, 9), [frozen_value("a", Some("1"))]);
    assert!(backend.freeze());
    assert_eq!(drain(&mut *backend, 9), [frozen_value("a", Some("2"))]);
}

pub(crate) fn size_counts_what_lives(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["key", "other"]));
    backend.put(VALUE, &[0], &texts(&["four"])).unwrap();
    backend.map_put(MAP, &[0], &texts(&["mk"]), &texts(&["v"])).unwrap();
    backend.list_append(LIST, &[1], &texts(&["item"])).unwrap();
    backend.commit().unwrap();
    assert_eq!(backend.size(), StateSize { keys: 2, bytes: 3 + 4 + 2 + 1 + 5 + 4 });
    set(&mut *backend, "key", None);
    assert_eq!(backend.size(), StateSize { keys: 2, bytes: 3 + 2 + 1 + 5 + 4 });
    backend.begin(&keyed(&["key", "other"]));
    backend.map_clear(MAP, &[0]).unwrap();
    backend.list_clear(LIST, &[1]).unwrap();
    backend.commit().unwrap();
    assert_eq!(backend.size(), StateSize::default());
}
