//! What a restore takes, and what it refuses.

use gristmill_ports::ErrorKind;
use gristmill_ports::state::RestoredState;
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
    let history = stored(open, &["a".to_owned(), "b".to_owned()]);
    let mut reader = descriptor();
    reader.states.swap(0, 2);
    reader.states[1].name = "renamed".to_owned();
    let mut backend = history.restored_as(open, &descriptor(), &reader, NOW).unwrap();
    backend.begin(&keyed(&["a"]), NOW);
    assert_eq!(strings(&backend.get(StateIndex(2), &[0]).unwrap().values), [Some("a".to_owned())]);
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
