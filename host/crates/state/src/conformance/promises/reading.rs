//! What is read, and how much of it at a time: values, lists, maps, pages.

use gristmill_types::Column;

use crate::conformance::Open;
use crate::conformance::fixture::*;

pub(crate) fn rows_of_one_key_share_a_slot(open: Open) {
    let mut backend = open(&descriptor());
    set(&mut *backend, "a", Some("1"));
    for events in [keyed(&["a", "b", "a"]), keyed(&["a", "b", "a"]).hashed()] {
        backend.begin(&events, NOW);
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
    backend.begin(&keyed(&["a", "a", "b"]), NOW);
    backend.put(VALUE, &[0, 2, 1], &texts(&["1", "2", "3"])).unwrap();
    backend.put(VALUE, &[2], &column(&[None])).unwrap();
    backend.commit().unwrap();
    assert_eq!((value_of(&mut *backend, "a"), value_of(&mut *backend, "b")), (Some("3".to_owned()), None));
}

pub(crate) fn a_list_keeps_its_order_over_pages(open: Open) {
    let mut backend = open(&descriptor());
    let expected: Vec<Vec<u8>> = (0..200).map(|item| vec![b'x'; item % 7]).collect();
    for items in expected.chunks(50) {
        backend.begin(&keyed(&["a"]), NOW);
        let items: Column = items.iter().map(|item| Some(item.as_slice())).collect();
        backend.list_append(LIST, &[0; 50], &items).unwrap();
        backend.commit().unwrap();
    }
    backend.begin(&keyed(&["a"]), NOW);
    for max_bytes in [0, 1, 40, 100_000] {
        assert_eq!(whole_list(&mut *backend, 0, max_bytes), expected);
    }
}

pub(crate) fn a_map_scan_is_ascending_and_keeps_to_its_prefix(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]), NOW);
    let keys = texts(&["b", "ab", "a", "", "aa", "c", "a\u{ff}"]);
    backend.map_put(MAP, &[0; 7], &keys, &texts(&["1"; 7])).unwrap();
    backend.commit().unwrap();
    backend.begin(&keyed(&["a"]), NOW);
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
    backend.begin(&keyed(&["a"]), NOW);
    let keys: Vec<String> = (0..100).map(|key| format!("{key:03}")).collect();
    let keys = texts(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let values: Column =
        (0..100).map(|value| Some(&b"0123456789012345678901234567890123456789"[..value % 40])).collect();
    backend.map_put(MAP, &[0; 100], &keys, &values).unwrap();
    backend.commit().unwrap();
    backend.begin(&keyed(&["a"]), NOW);
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
    backend.begin(&keyed(&["b"]), NOW);
    let empty_items: Column = (0..10_000).map(|_| Some(&b""[..])).collect();
    backend.list_append(LIST, &[0; 10_000], &empty_items).unwrap();
    let page = backend.list_scan(LIST, 0, None, 1000).unwrap();
    assert!(page.values.len() < 1000, "empty entries count too: {} on a page", page.values.len());
}

// Rule 20.
pub(crate) fn a_cursor_survives_writes_between_pages(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["a"]), NOW);
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
