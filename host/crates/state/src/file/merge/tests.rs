use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::conformance::fixture::Folder;
use crate::file::{FileWriter, Stored};

/// State, key group, key, and the name of an entry of a map; of a value none.
type Where = (u32, u16, Vec<u8>, Option<Vec<u8>>);

/// Keys that agree in more bytes than a rank has, and such that differ in zeros behind them.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    let begin =
        prop::sample::select(vec![0, 1, 9, 10, 11, Rank::KEY_BYTES - 1, Rank::KEY_BYTES, Rank::KEY_BYTES + 1, 40]);
    let end = prop::collection::vec(prop::sample::select(vec![0_u8, 1, u8::MAX]), 0..3);
    (begin, end).prop_map(|(begin, end)| [vec![b'k'; begin], end].concat())
}

fn wheres() -> impl Strategy<Value = Where> {
    let names = prop::sample::select(vec![vec![], vec![0], b"name".to_vec()]);
    (0..2_u32, prop::sample::select(vec![0, 1, u16::MAX - 1]), keys(), names).prop_map(|(state, group, key, name)| {
        // The first state has values, the second maps.
        (state, group, key, (state == 1).then_some(name))
    })
}

/// What one file says: something is put, or deleted.
fn files() -> impl Strategy<Value = Vec<BTreeMap<Where, Option<u8>>>> {
    prop::collection::vec(prop::collection::btree_map(wheres(), any::<Option<u8>>(), 0..30), 1..7)
}

fn write(said: &BTreeMap<Where, Option<u8>>, folder: &Folder) -> Option<StateFile> {
    let mut out = FileWriter::create(folder.scratch()).expect("a folder");
    for ((state, group, key, name), value) in said {
        let bytes = value.as_slice();
        let stored = Stored { written: None, bytes };
        let change = match (name, value) {
            (None, Some(_)) => Change::PutValue(stored),
            (None, None) => Change::DeleteValue,
            (Some(name), Some(_)) => Change::PutEntry(name, stored),
            (Some(name), None) => Change::DeleteEntry(name),
        };
        out.push(&Entry { state: *state, group: KeyGroup(*group), key, version: 1, change }).expect("room");
    }
    out.store(folder).expect("room")
}

fn read(list: &[StateFile], is_oldest: bool, folder: &Folder) -> Vec<(Where, Option<u8>)> {
    let all = KeyGroupRange { start: 0, end: u16::MAX };
    let mut merged = Merged::open(list, all, Vec::new(), is_oldest, folder).expect("good files");
    let mut read = Vec::new();
    while merged.advance().expect("good files") {
        let entry = merged.entry().expect("an entry is at hand");
        let name = match entry.change {
            Change::PutEntry(name, _) | Change::DeleteEntry(name) => Some(name.to_vec()),
            _ => None,
        };
        let value = entry.change.stored().and_then(|stored| stored.bytes.first().copied());
        read.push(((entry.state, entry.group.0, entry.key.to_vec(), name), value));
    }
    read
}

proptest! {
    #[test]
    fn many_files_say_what_the_newest_says_of_each_entry(files in files()) {
        let folder = Folder::new();
        let list: Vec<StateFile> = files.iter().filter_map(|said| write(said, &folder)).collect();
        let newest: BTreeMap<Where, Option<u8>> = files.into_iter().flatten().collect();
        prop_assert_eq!(read(&list, false, &folder), newest.clone().into_iter().collect::<Vec<_>>());
        let there: Vec<_> = newest.into_iter().filter(|(_, value)| value.is_some()).collect();
        prop_assert_eq!(read(&list, true, &folder), there);
    }

    #[test]
    fn whoever_ranks_below_is_an_owner_below(one in wheres(), other in wheres()) {
        let owner = |(state, group, key, _): &Where| (*state, KeyGroup(*group), key.clone());
        let (one, other) = (owner(&one), owner(&other));
        let rank = |(state, group, key): &(u32, KeyGroup, Vec<u8>)| Rank::of((*state, *group, key));
        prop_assert_eq!(rank(&one).is_below(rank(&other)), rank(&one) < rank(&other));
        match rank(&one).cmp(&rank(&other)) {
            Ordering::Equal => prop_assert!(!rank(&one).is_whole() || one == other),
            differs => prop_assert_eq!(differs, one.cmp(&other)),
        }
    }
}
