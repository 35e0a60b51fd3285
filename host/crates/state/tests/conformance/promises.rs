//! The promises of the state port, one function each.

use gristmill_ports::state::{FrozenChange, FrozenEntry, StateError, StateSize};
use gristmill_types::{Column, StateIndex};

use crate::Open;
use crate::fixture::*;

fn frozen_value(key: &str, value: Option<&str>) -> FrozenChange {
    let entry = FrozenEntry::Value(value.map(|value| value.as_bytes().into()));
    FrozenChange { state: VALUE, key: key.as_bytes().into(), entry }
}

pub(crate) fn rows_of_one_key_share_a_slot(open: Open) {
    let mut backend = open(&descriptor());
    set(&mut *backend, "a", Some("1"));
    for events in [keyed(&["a", "b", "a"]), keyed(&["a", "b", "a"]).hashed()] {
        backend.begin(&events);
        let read = backend.get(VALUE, &[2, 1, 0, 1]).unwrap();
        assert_eq!((read.slots, strings(&read.values)), (vec![0, 1, 0, 1], vec![Some("1".to_owned()), None]));
    }
}

pub(crate) fn absent_is_null_and_empty_is_not(open: Open) {
    let mut backend = open(&descriptor());
    set(&mut *backend, "", Some(""));
    assert_eq!(value_of(&mut *backend, ""), Some(String::new()));
    assert_eq!(value_of(&mut *backend, "other"), None);
    set(&mut *backend, "", None);
    assert_eq!(value_of(&mut *backend, ""), None);
}

pub(crate) fn of_several_puts_to_one_key_the_last_wins(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a", "a", "b"]));
    backend.put(VALUE, &[0, 2, 1], &texts(&["1", "2", "3"])).unwrap();
    backend.put(VALUE, &[2], &column(&[None])).unwrap();
    backend.commit().unwrap();
    assert_eq!((value_of(&mut *backend, "a"), value_of(&mut *backend, "b")), (Some("3".to_owned()), None));
}

pub(crate) fn a_call_sees_its_own_writes(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]));
    backend.map_put(MAP, &[0, 0], &texts(&["x", "y"]), &texts(&["1", "2"])).unwrap();
    backend.list_append(LIST, &[0], &texts(&["old"])).unwrap();
    backend.commit().unwrap();

    backend.begin(&keyed(&["a"]));
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
    backend.begin(&keyed(&["a"]));
    backend.put(VALUE, &[0], &texts(&["1"])).unwrap();
    backend.list_append(LIST, &[0], &texts(&["1"])).unwrap();
    backend.map_put(MAP, &[0], &texts(&["1"]), &texts(&["1"])).unwrap();
    backend.roll_back();
    assert_eq!(backend.size(), StateSize::default());
    backend.begin(&keyed(&["a"]));
    assert_eq!(strings(&backend.get(VALUE, &[0]).unwrap().values), [None]);
    assert!(whole_list(&mut *backend, 0, 9).is_empty() && whole_map(&mut *backend, 0, b"", 9).is_empty());
}

pub(crate) fn a_mark_takes_back_only_what_came_after_it(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a", "b"]));
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
    backend.begin(&keyed(&["a"]));
    backend.put(VALUE, &[0], &texts(&["1"])).unwrap();
    backend.begin(&keyed(&["a"]));
    backend.commit().unwrap();
    assert_eq!(value_of(&mut *backend, "a"), None);
}

pub(crate) fn a_list_keeps_its_order_over_pages(open: Open) {
    let mut backend = open(&descriptor());
    let expected: Vec<Vec<u8>> = (0..200).map(|item| vec![b'x'; item % 7]).collect();
    for items in expected.chunks(50) {
        backend.begin(&keyed(&["a"]));
        let items: Column = items.iter().map(|item| Some(item.as_slice())).collect();
        backend.list_append(LIST, &[0; 50], &items).unwrap();
        backend.commit().unwrap();
    }
    backend.begin(&keyed(&["a"]));
    for max_bytes in [0, 1, 40, 100_000] {
        assert_eq!(whole_list(&mut *backend, 0, max_bytes), expected);
    }
}

pub(crate) fn a_map_scan_is_ascending_and_keeps_to_its_prefix(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]));
    let keys = texts(&["b", "ab", "a", "", "aa", "c", "a\u{ff}"]);
    backend.map_put(MAP, &[0; 7], &keys, &texts(&["1"; 7])).unwrap();
    backend.commit().unwrap();
    backend.begin(&keyed(&["a"]));
    let scan = |prefix: &str, after: Option<&str>| {
        let after = after.map(str::as_bytes);
        strings(&backend.map_scan(MAP, 0, prefix.as_bytes(), after, 1000).unwrap().keys)
    };
    let mut scan = scan;
    let some = |keys: &[&str]| keys.iter().map(|key| Some((*key).to_owned())).collect::<Vec<_>>();
    for (prefix, after, expected) in [
        ("", None, &["", "a", "aa", "ab", "a\u{ff}", "b", "c"][..]),
        ("a", None, &["a", "aa", "ab", "a\u{ff}"]),
        ("a", Some("aa"), &["ab", "a\u{ff}"]),
        ("a", Some(""), &["a", "aa", "ab", "a\u{ff}"]),
        ("a", Some("b"), &[]),
        ("", Some("b"), &["c"]),
        ("d", None, &[]),
    ] {
        assert_eq!(scan(prefix, after), some(expected), "prefix {prefix:?} after {after:?}");
    }
}

pub(crate) fn a_page_keeps_to_its_bound_but_holds_one_entry(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]));
    let keys: Vec<String> = (0..100).map(|key| format!("{key:03}")).collect();
    let keys = texts(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let values: Column =
        (0..100).map(|value| Some(&b"0123456789012345678901234567890123456789"[..value % 40])).collect();
    backend.map_put(MAP, &[0; 100], &keys, &values).unwrap();
    backend.commit().unwrap();
    backend.begin(&keyed(&["a"]));
    for max_bytes in [0, 30, 200] {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = backend.map_scan(MAP, 0, b"", after.as_deref(), max_bytes).unwrap();
            let bytes = page.keys.data().len() + page.values.data().len();
            assert!(bytes <= max_bytes as usize || page.values.len() == 1, "{bytes} bytes of {max_bytes}");
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    backend.begin(&keyed(&["b"]));
    let empty_items: Column = (0..10_000).map(|_| Some(&b""[..])).collect();
    backend.list_append(LIST, &[0; 10_000], &empty_items).unwrap();
    let page = backend.list_scan(LIST, 0, None, 1000).unwrap();
    assert!(page.values.len() < 1000, "empty entries count too: {} on a page", page.values.len());
}

pub(crate) fn a_cursor_survives_writes_between_pages(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]));
    backend.map_put(MAP, &[0; 3], &texts(&["a", "b", "c"]), &texts(&["1"; 3])).unwrap();
    backend.list_append(LIST, &[0; 3], &texts(&["1", "2", "3"])).unwrap();
    let first = backend.map_scan(MAP, 0, b"", None, 1).unwrap();
    backend.map_put(MAP, &[0; 2], &texts(&["a", "aa"]), &column(&[None, Some("2")])).unwrap();
    let second = backend.map_scan(MAP, 0, b"", first.next.as_deref(), 1).unwrap();
    assert_eq!(strings(&second.keys), [Some("aa".to_owned())]);
    let first = backend.list_scan(LIST, 0, None, 1).unwrap();
    backend.list_clear(LIST, &[0]).unwrap();
    let second = backend.list_scan(LIST, 0, first.next.as_deref(), 1).unwrap();
    assert_eq!((second.values.len(), second.next), (0, None));
}

pub(crate) fn broken_contracts_are_named(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&batch(&[Some("a"), None]));
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

pub(crate) fn state_is_used_only_within_a_call(open: Open) {
    let mut backend = open(&descriptor());
    assert_eq!(backend.get(VALUE, &[0]), Err(StateError::OutsideCall));
    backend.begin(&keyed(&["a"]));
    backend.commit().unwrap();
    assert_eq!(backend.put(VALUE, &[0], &texts(&["1"])), Err(StateError::OutsideCall));
}

pub(crate) fn one_call_cannot_write_without_end(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]));
    let large = vec![0; 64 << 20];
    let large: Column = [Some(large.as_slice())].into_iter().collect();
    let refused = (0..1000).map(|_| backend.put(VALUE, &[0], &large)).find_map(Result::err);
    assert!(matches!(refused, Some(StateError::WriteSetFull { .. })), "{refused:?}");
}

pub(crate) fn one_read_cannot_hand_over_without_end(open: Open) {
    let mut backend = open(&descriptor());
    let large = vec![0; 4 << 20];
    let large: Column = [Some(large.as_slice())].into_iter().collect();
    backend.begin(&keyed(&["a"]));
    backend.map_put(MAP, &[0], &texts(&["k"]), &large).unwrap();
    backend.list_append(LIST, &[0], &large).unwrap();
    let (rows, keys) = (vec![0; 2000], texts(&["k"; 2000]));
    let refused = backend.map_get(MAP, &rows, &keys);
    assert!(matches!(refused, Err(StateError::ReadTooLarge { .. })), "8 GiB were handed over");
    backend.commit().unwrap();

    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for chunk in keys.chunks(10) {
        backend.begin(&keyed(chunk));
        (0..10).for_each(|row| backend.put(VALUE, &[row], &large).unwrap());
        backend.commit().unwrap();
    }
    backend.begin(&keyed(&keys));
    let rows: Vec<u32> = (0..100).collect();
    assert!(matches!(backend.get(VALUE, &rows), Err(StateError::ReadTooLarge { .. })));
    assert_eq!(backend.get(VALUE, &rows[..20]).unwrap().values.data().len(), 80 << 20, "fewer rows are read");
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
