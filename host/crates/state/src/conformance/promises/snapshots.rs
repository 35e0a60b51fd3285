//! A freeze cuts between before and after; what is stored of it, restored, is what was.

use gristmill_ports::state::StateSize;
use gristmill_types::CheckpointId;

use crate::conformance::Open;
use crate::conformance::fixture::*;

pub(crate) fn freezing_cuts_between_before_and_after(open: Open) {
    let (mut backend, mut history) = (open(&descriptor()), History::new());
    for key in ["a", "b", "c"] {
        set(&mut *backend, key, Some("before"));
    }
    assert!(backend.freeze(CheckpointId(1)));
    set(&mut *backend, "b", Some("after"));
    set(&mut *backend, "c", None);
    set(&mut *backend, "d", Some("after"));
    assert_eq!(history.store(&mut *drain(&mut *backend, 2)), 3);
    let values = |history: &History| {
        let mut restored = history.restored(open);
        ["a", "b", "c", "d"].map(|key| value_of(&mut *restored, key))
    };
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(values(&history), [some("before"), some("before"), some("before"), None]);
    assert_eq!(history.checkpoint(&mut *backend), 3);
    assert_eq!(values(&history), [some("before"), some("after"), None, some("after")]);
    assert_eq!(history.checkpoint(&mut *backend), 0, "what did not change is not told again");
    assert_eq!(history.files.len(), 2, "nothing new is no file");
}

pub(crate) fn a_frozen_list_is_what_it_was(open: Open) {
    let (mut backend, mut history) = (open(&descriptor()), History::new());
    let keys = ["appended", "cleared", "both", "left"];
    backend.begin(&keyed(&keys), NOW);
    backend.list_append(LIST, &[0, 1, 2, 3, 0], &texts(&["1", "2", "3", "4", "5"])).unwrap();
    backend.commit().unwrap();
    assert!(backend.freeze(CheckpointId(1)));
    for _ in 0..2 {
        backend.begin(&keyed(&keys), NOW);
        backend.list_append(LIST, &[0, 2], &texts(&["6", "7"])).unwrap();
        backend.list_clear(LIST, &[1, 2]).unwrap();
        backend.list_append(LIST, &[2], &texts(&["8"])).unwrap();
        backend.commit().unwrap();
    }
    let lists = |history: &History| {
        let mut restored = history.restored(open);
        let all = contents(&mut *restored, &keys, NOW).into_iter().map(|(_, list, _)| list.concat());
        all.collect::<Vec<_>>()
    };
    history.store(&mut *drain(&mut *backend, 1));
    assert_eq!(lists(&history), ["15", "2", "3", "4"]);
    history.checkpoint(&mut *backend);
    assert_eq!(lists(&history), ["1566", "", "8", "4"]);
}

pub(crate) fn a_growing_list_tells_only_what_was_appended(open: Open) {
    let (mut backend, mut history) = (open(&descriptor()), History::new());
    for round in 0..4 {
        backend.begin(&keyed(&["a"]), NOW);
        backend.list_append(LIST, &[0; 3], &texts(&["x", "y", "z"])).unwrap();
        backend.commit().unwrap();
        let told = history.checkpoint(&mut *backend);
        assert_eq!(told, if round == 0 { 4 } else { 3 }, "three items, behind a clear where the list begins");
        if round == 1 {
            backend = history.restored(open);
        }
    }
    assert_eq!(contents(&mut *history.restored(open), &["a"], NOW)[0].1.concat(), "xyz".repeat(4));
}

pub(crate) fn an_emptied_map_is_one_change_and_hides_what_was_in_it(open: Open) {
    let (mut backend, mut history) = (open(&descriptor()), History::new());
    let names: Vec<String> = (0..100).map(|name| name.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    backend.begin(&keyed(&["a"]), NOW);
    backend.map_put(MAP, &[0; 100], &texts(&names), &texts(&["old"; 100])).unwrap();
    backend.commit().unwrap();
    assert_eq!(history.checkpoint(&mut *backend), 100);
    backend.begin(&keyed(&["a"]), NOW);
    backend.map_clear(MAP, &[0]).unwrap();
    backend.map_put(MAP, &[0], &texts(&["7"]), &texts(&["new"])).unwrap();
    backend.commit().unwrap();
    assert_eq!(history.checkpoint(&mut *backend), 2);
    assert_eq!(contents(&mut *history.restored(open), &["a"], NOW)[0].2, [("7".to_owned(), "new".to_owned())]);
}

pub(crate) fn deletions_are_told_once(open: Open) {
    let (mut backend, mut history) = (open(&descriptor()), History::new());
    set(&mut *backend, "a", Some("1"));
    history.checkpoint(&mut *backend);
    set(&mut *backend, "a", None);
    set(&mut *backend, "a", Some("2"));
    set(&mut *backend, "a", None);
    assert_eq!(history.checkpoint(&mut *backend), 1);
    assert_eq!(history.restored(open).size(), StateSize::default());
    assert_eq!(history.checkpoint(&mut *backend), 0);
}

/// Without this a job without checkpoints would keep a tombstone for every key that it ever saw.
pub(crate) fn what_comes_and_goes_leaves_no_trace(open: Open) {
    let (mut backend, mut history) = (open(&descriptor()), History::new());
    for key in 0..1000 {
        let key = key.to_string();
        backend.begin(&keyed(&[&key]), NOW);
        backend.put(VALUE, &[0], &texts(&["1"])).unwrap();
        backend.list_append(LIST, &[0], &texts(&["1"])).unwrap();
        backend.map_put(MAP, &[0], &texts(&["1"]), &texts(&["1"])).unwrap();
        backend.commit().unwrap();
        backend.begin(&keyed(&[&key]), NOW);
        backend.put(VALUE, &[0], &column(&[None])).unwrap();
        backend.list_clear(LIST, &[0]).unwrap();
        backend.map_clear(MAP, &[0]).unwrap();
        backend.commit().unwrap();
    }
    assert_eq!(backend.size(), StateSize::default());
    assert_eq!(history.checkpoint(&mut *backend), 0);
}

pub(crate) fn no_second_freeze_before_the_first_is_drained(open: Open) {
    let (mut backend, mut history) = (open(&descriptor()), History::new());
    set(&mut *backend, "a", Some("1"));
    assert!(backend.freeze(CheckpointId(1)));
    set(&mut *backend, "a", Some("2"));
    assert!(!backend.freeze(CheckpointId(2)));
    history.store(&mut *drain(&mut *backend, 9));
    assert_eq!(value_of(&mut *history.restored(open), "a"), Some("1".to_owned()));
    history.checkpoint(&mut *backend);
    assert_eq!(value_of(&mut *history.restored(open), "a"), Some("2".to_owned()));
}

pub(crate) fn size_counts_what_lives(open: Open) {
    let mut backend = open(&descriptor());
    backend.begin(&keyed(&["key", "other"]), NOW);
    backend.put(VALUE, &[0], &texts(&["four"])).unwrap();
    backend.map_put(MAP, &[0], &texts(&["mk"]), &texts(&["v"])).unwrap();
    backend.list_append(LIST, &[1], &texts(&["item"])).unwrap();
    backend.commit().unwrap();
    assert_eq!(backend.size(), StateSize { keys: 2, bytes: 3 + 4 + 2 + 1 + 5 + 4 });
    set(&mut *backend, "key", None);
    assert_eq!(backend.size(), StateSize { keys: 2, bytes: 3 + 2 + 1 + 5 + 4 });
    backend.begin(&keyed(&["key", "other"]), NOW);
    backend.map_clear(MAP, &[0]).unwrap();
    backend.list_clear(LIST, &[1]).unwrap();
    backend.commit().unwrap();
    assert_eq!(backend.size(), StateSize::default());
}
