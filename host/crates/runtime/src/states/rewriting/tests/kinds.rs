//! Moves between states of all kinds: what a key has arrives whole, in the other schema, and nowhere else.

use std::collections::BTreeMap;

use gristmill_ports::state::ScanPage;
use proptest::prelude::*;

use super::*;

const KINDS: [StateKind; 4] = [StateKind::Value, StateKind::AppendList, StateKind::OrderedMap, StateKind::Accumulator];

/// What a key has, value by name, in a state of whatever kind.
type Content = BTreeMap<String, String>;

/// An entry of a state; only those of a map have a name.
type Entry = (Option<String>, String);

/// What a key has in the state that is moved from, and in the one that is moved to.
type There = (Vec<Entry>, Vec<Entry>);

/// How a version writes it: all in one value, item by item, or name by name, with its number before each.
fn written(content: &Content, version: u32, kind: StateKind) -> Vec<Entry> {
    let pairs = content.iter().map(|(name, value)| format!("{name}={value}"));
    match kind {
        StateKind::Value | StateKind::Accumulator if content.is_empty() => Vec::new(),
        StateKind::Value | StateKind::Accumulator => {
            vec![(None, format!("{version}:{}", pairs.collect::<Vec<_>>().join(";")))]
        }
        StateKind::AppendList => pairs.map(|pair| (None, format!("{version}:{pair}"))).collect(),
        StateKind::OrderedMap => {
            content.iter().map(|(name, value)| (Some(name.clone()), format!("{version}:{value}"))).collect()
        }
    }
}

/// What an entry says that this version has written.
fn said(name: Option<String>, value: &str, version: u32) -> Content {
    let value = value.strip_prefix(&format!("{version}:")).expect("it is of the version that it is told to be of");
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    match name {
        Some(name) => Content::from([(name, value.to_owned())]),
        None => value.split(';').map(|one| pair(one).expect("a name before each value")).collect(),
    }
}

/// Writes in the one schema what it reads in the other, unless it is this key's.
struct Translator {
    torn: Option<&'static [u8]>,
}

impl Migrator for Translator {
    fn migrate(&mut self, migration: Migration<'_>, page: &Entries) -> Result<Entries, CallFailure> {
        if page.keys.iter().flatten().any(|key| self.torn == Some(key)) {
            return Err(CallFailure::BadRecord("it is torn".to_owned()));
        }
        let mut contents = vec![Content::new(); page.keys.len()];
        for (at, (owner, value)) in page.owners.iter().zip(page.values.iter()).enumerate() {
            let name = (migration.from_kind == StateKind::OrderedMap).then(|| text(page.map_keys.get(at)));
            contents[*owner as usize].extend(said(name, &text(value), migration.from_version));
        }
        let mut answer = Entries { keys: page.keys.clone(), ..Entries::default() };
        for (owner, content) in (0..).zip(&contents) {
            append(&mut answer, owner, &written(content, migration.to_version, migration.to_kind));
        }
        Ok(answer)
    }
}

fn append(all: &mut Entries, owner: u32, entries: &[Entry]) {
    for (name, value) in entries {
        all.owners.push(owner);
        all.values.push(Some(value.as_bytes()));
        name.iter().for_each(|name| all.map_keys.push(Some(name.as_bytes())));
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

/// Events with these keys, of which the first state has something or nothing; one without a key; and all once more.
fn filled(one: &Move, keys: &[Content]) -> (EventBatch, NaiveState) {
    let mut events = EventBatch::default();
    (0..keys.len()).for_each(|key| events.push(0, Some(format!("k{key}").as_bytes()), None));
    events.push(0, None, None);
    (0..keys.len()).for_each(|key| events.push(0, Some(format!("k{key}").as_bytes()), None));
    let events = events.hashed();
    let mut state = NaiveState::default();
    state.begin(&events, TIME);
    for (row, content) in (0..).zip(keys) {
        let mut entries = Entries::default();
        append(&mut entries, row, &written(content, one.from.version, one.from.kind));
        write(&one.back(), &entries.owners, &entries, &mut state).unwrap();
    }
    state.commit().unwrap();
    (events, state)
}

fn found(state: &mut NaiveState, place: Place, row: u32) -> Vec<Entry> {
    let page = match place.kind {
        StateKind::Value | StateKind::Accumulator => {
            ScanPage { values: state.get(place.seat, &[row]).unwrap().values, ..ScanPage::default() }
        }
        StateKind::AppendList => state.list_scan(place.seat, row, None, u32::MAX).unwrap(),
        StateKind::OrderedMap => state.map_scan(place.seat, row, b"", None, u32::MAX).unwrap(),
    };
    let name = |at| (place.kind == StateKind::OrderedMap).then(|| text(page.keys.get(at)));
    let values = page.values.iter().flatten().enumerate();
    values.map(|(at, value)| (name(at), text(Some(value)))).collect()
}

/// What each of so many keys has.
fn there(one: &Move, keys: usize, events: &EventBatch, state: &mut NaiveState) -> Vec<There> {
    state.begin(events, TIME);
    let rows = 0..u32::try_from(keys).unwrap();
    let there = rows.map(|row| (found(state, one.from, row), found(state, one.to, row))).collect();
    state.roll_back();
    there
}

/// What each is to have, once these are moved.
fn expected(one: &Move, keys: &[Content], is_moved: impl Fn(usize) -> bool) -> Vec<There> {
    let of = |(key, content): (usize, &Content)| match is_moved(key) {
        true => (Vec::new(), written(content, one.to.version, one.to.kind)),
        false => (written(content, one.from.version, one.from.kind), Vec::new()),
    };
    keys.iter().enumerate().map(of).collect()
}

fn rewriting(one: &Move, torn: Option<&'static [u8]>) -> Rewriting {
    Rewriting::new(Box::new(Translator { torn }), vec![one.clone()])
}

/// Keys with nothing, with little, and with more than is read, or rewritten, at once.
fn contents() -> impl Strategy<Value = Vec<Content>> {
    let name = (0u32..12).prop_map(|name| format!("n{name}"));
    let value = prop_oneof![9 => 0usize..8, 1 => 40_000usize..90_000].prop_map(|length| "x".repeat(length));
    prop::collection::vec(prop::collection::btree_map(name, value, 0..6), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_kinds_each_key_has_all_of_it_in_one_state_and_comes_back_with_all_of_it(
        from in prop::sample::select(KINDS.to_vec()),
        to in prop::sample::select(KINDS.to_vec()),
        keys in contents(),
        touched in prop::collection::vec(any::<bool>(), 8),
    ) {
        let one = between(from, to);
        let (events, mut state) = filled(&one, &keys);
        let mut forth = rewriting(&one, None);
        for key in (0..keys.len()).filter(|key| touched[*key]) {
            forth.rewrite(&events.slice(key..key + 1), &mut state, TIME).unwrap();
        }
        let at_first = there(&one, keys.len(), &events, &mut state);
        prop_assert_eq!(at_first, expected(&one, &keys, |key| touched[key]), "as events touch them");
        forth.rewrite(&events, &mut state, TIME).unwrap();
        let then = there(&one, keys.len(), &events, &mut state);
        prop_assert_eq!(then, expected(&one, &keys, |_| true), "as the background goes through all");
        let mut back = forth.back(|_| true).expect("there is something to be moved back");
        for key in (0..keys.len()).filter(|key| touched[*key]) {
            back.rewrite(&events.slice(key..key + 1), &mut state, TIME).unwrap();
        }
        let half_way = there(&one, keys.len(), &events, &mut state);
        prop_assert_eq!(half_way, expected(&one, &keys, |key| !touched[key]), "some are back");
        back.rewrite(&events, &mut state, TIME).unwrap();
        let at_last = there(&one, keys.len(), &events, &mut state);
        prop_assert_eq!(at_last, expected(&one, &keys, |_| false), "all are back");
    }
}

/// One key after the other, as the background does when a page of them fails.
#[test]
fn a_key_that_cannot_be_rewritten_keeps_all_that_it_has_and_the_others_are_moved() {
    // The first fills a call of `migrate`, so it is rewritten before the call that fails.
    let large = Content::from(["a", "b", "c"].map(|name| (name.to_owned(), "x".repeat(100_000))));
    let small = Content::from(["a", "b"].map(|name| (name.to_owned(), name.to_owned())));
    let keys = [large, small.clone(), small.clone(), Content::new(), small];
    for (from, to) in KINDS.into_iter().flat_map(|from| KINDS.map(|to| (from, to))) {
        let one = between(from, to);
        let (events, mut state) = filled(&one, &keys);
        let mut fails = rewriting(&one, Some(b"k2"));
        let failure = fails.rewrite(&events, &mut state, TIME).unwrap_err();
        assert_eq!(failure, CallFailure::BadRecord("it is torn".to_owned()));
        let as_before = there(&one, keys.len(), &events, &mut state);
        assert_eq!(as_before, expected(&one, &keys, |_| false), "{from:?} to {to:?}: together or not at all");
        for key in 0..keys.len() {
            let moved = fails.rewrite(&events.slice(key..key + 1), &mut state, TIME);
            assert_eq!(moved.is_err(), key == 2, "key {key} from {from:?} to {to:?}");
        }
        let now = there(&one, keys.len(), &events, &mut state);
        assert_eq!(now, expected(&one, &keys, |key| key != 2), "{from:?} to {to:?}");
        rewriting(&one, None).rewrite(&events, &mut state, TIME).unwrap();
        let mended = there(&one, keys.len(), &events, &mut state);
        assert_eq!(mended, expected(&one, &keys, |_| true), "{from:?} to {to:?}: once it can be");
    }
}
