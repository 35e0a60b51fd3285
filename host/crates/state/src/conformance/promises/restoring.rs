//! What a restore takes, and what it refuses.

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::RestoredState;
use gristmill_ports::{ErrorKind, StateBackend};
use gristmill_types::descriptor::StateKind;
use gristmill_types::{KeyGroupRange, MaxParallelism, StateIndex, key_hash};

use crate::conformance::Open;
use crate::conformance::fixture::*;

/// A history with a value under each of these keys, in two files.
fn stored(open: Open, keys: &[String]) -> History {
    let (mut backend, mut history) = (open(&descriptor()), History::new());
    for half in keys.chunks(keys.len() / 2) {
        half.iter().for_each(|key| set(&mut *backend, key, Some(key)));
        history.checkpoint(&mut *backend);
    }
    history
}

pub(crate) fn restoring_takes_only_the_key_groups_asked_for(open: Open) {
    let keys: Vec<String> = (0..3000).map(|key| key.to_string()).collect();
    let history = stored(open, &keys);
    let mut found = 0;
    for groups in
        [KeyGroupRange { start: 0, end: 1 }, KeyGroupRange { start: 1, end: 70 }, KeyGroupRange { start: 70, end: 128 }]
    {
        let mut part = open(&descriptor());
        let from = RestoredState { states: &descriptor().states, files: &history.files, groups, time: NOW };
        part.restore(&from, &history.folder).unwrap();
        found += part.size().keys;
        for key in &keys {
            let owned = groups.contains(MaxParallelism::DEFAULT.group_of(key_hash(key.as_bytes())));
            assert_eq!(value_of(&mut *part, key), owned.then(|| key.clone()), "key {key}");
        }
    }
    assert_eq!(found, 3000);
}

pub(crate) fn states_are_found_again_by_their_names(open: Open) {
    let mut history = stored(open, &["a".to_owned(), "b".to_owned()]);
    let mut reader = descriptor();
    reader.states.swap(0, 2);
    reader.states[1].name = "renamed".to_owned();
    let value_of_a = |backend: &mut dyn StateBackend| {
        backend.begin(&keyed(&["a"]), NOW);
        let read = backend.get(StateIndex(2), &[0]).unwrap();
        backend.roll_back();
        strings(&read.values)[0].clone()
    };
    let mut backend = history.restored_as(open, &descriptor(), &reader, NOW).unwrap();
    assert_eq!(value_of_a(&mut *backend), Some("a".to_owned()));

    history.begin_anew();
    history.checkpoint(&mut *backend);
    backend.begin(&keyed(&["b"]), NOW);
    backend.put(StateIndex(2), &[0], &texts(&["changed"])).unwrap();
    backend.commit().unwrap();
    history.checkpoint(&mut *backend);
    history.merge(0..history.files.len(), &reader, NOW);
    let mut again = history.restored_as(open, &reader, &reader, NOW).unwrap();
    assert_eq!(value_of_a(&mut *again), Some("a".to_owned()), "all of it was told by the reader's places");
}

/// One subtask becomes two, and one again: what a file says of the groups that went elsewhere counts no more.
pub(crate) fn a_file_in_two_lists_counts_for_the_groups_of_each(open: Open) {
    let (low, high) = (KeyGroupRange { start: 0, end: 64 }, KeyGroupRange { start: 64, end: 128 });
    let keys: Vec<String> = (0..40).map(|key| key.to_string()).collect();
    let mut history = stored(open, &keys);
    history.merge(0..2, &descriptor(), NOW);
    let (base, mut lists) = (history.files[0], Vec::new());
    for groups in [low, high] {
        let files = vec![StateFile { groups, ..base }];
        let mut half = open(&descriptor());
        let from = RestoredState { states: &descriptor().states, files: &files, groups, time: NOW };
        half.restore(&from, &history.folder).unwrap();
        history.files = files;
        let group_of = |key: &&String| MaxParallelism::DEFAULT.group_of(key_hash(key.as_bytes()));
        for key in keys.iter().filter(|key| groups.contains(group_of(key))) {
            set(&mut *half, key, Some("changed"));
        }
        history.checkpoint(&mut *half);
        lists.append(&mut history.files);
    }
    history.files = lists;
    for merged in [false, true] {
        if merged {
            let files = history.files.len();
            history.merge(1..files, &descriptor(), NOW);
            history.merge(0..history.files.len(), &descriptor(), NOW);
        }
        let mut one = history.restored(open);
        for key in &keys {
            assert_eq!(value_of(&mut *one, key), Some("changed".to_owned()), "key {key}, merged: {merged}");
        }
    }
}

pub(crate) fn a_state_of_another_schema_or_kind_is_refused_in_words(open: Open) {
    let history = stored(open, &["a".to_owned(), "b".to_owned()]);
    let (mut newer, mut other) = (descriptor(), descriptor());
    newer.states[0].version = 2;
    other.states[0].kind = StateKind::AppendList;
    for (reader, words) in [(newer, "schema version 1"), (other, "of kind append-list now")] {
        let refused = history.restored_as(open, &descriptor(), &reader, NOW).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::Fatal);
        assert!(refused.message.contains("state `count`") && refused.message.contains(words), "{refused}");
    }
}

pub(crate) fn every_flipped_byte_of_a_file_is_noticed_and_named(open: Open) {
    let mut history = stored(open, &["a".to_owned(), "b".to_owned()]);
    history.merge(0..2, &descriptor(), NOW);
    let path = history.folder.path_of(&history.files[0].file);
    let good = std::fs::read(&path).unwrap();
    for at in (0..4).chain(8..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&path, &bad).unwrap();
        let refused = history.restored_as(open, &descriptor(), &descriptor(), NOW).err();
        let refused = refused.unwrap_or_else(|| panic!("the flip at byte {at} of {} went unnoticed", good.len()));
        assert!(refused.message.contains(&history.files[0].file.to_string()), "{refused}");
    }
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(history.restored_as(open, &descriptor(), &descriptor(), NOW).is_err(), "half a file");
}
