//! What an author says of older versions of a state, and what becomes of what they stored.

use gristmill_sdk::prelude::*;
use gristmill_sdk::testing::{Harness, event};

#[data]
struct Seen {
    count: u64,
    last: Option<i64>,
}

/// Its states have been other things.
#[operator]
struct Changed {
    #[state(version = 3)]
    #[migrate(from = 1, was = Value<u64>, with = counted)]
    #[migrate(from = 2, was = Value<(u64, i64)>, with = |(count, last): (u64, i64)| Seen { count, last: Some(last) })]
    #[migrate(to = 2, was = Value<(u64, i64)>, with = without_doubt)]
    seen: Value<Seen>,
    #[state(name = "by-day", version = 2)]
    #[migrate(from = 1, was = Value<u64>, with = |count: u64| vec![("tue".to_owned(), 0), ("mon".to_owned(), count), ("tue".to_owned(), 1)])]
    #[migrate(to = 1, was = Value<u64>, with = |days: Vec<(String, u64)>| days.iter().map(|(_, count)| count).sum::<u64>())]
    by_day: Map<String, u64>,
    #[state(version = 2)]
    #[migrate(from = 1, was = Map<u32, String>, with = |map: Vec<(u32, String)>| map.into_iter().map(|(_, text)| text).collect::<Vec<_>>())]
    latest: List<String>,
    #[state(version = 2)]
    #[migrate(from = 1, was = List<u8>, with = only_long)]
    longest: Value<Vec<u8>>,
    out: Output,
}

fn counted(count: u64) -> Seen {
    Seen { count, last: None }
}

fn without_doubt(Seen { count, last }: Seen) -> Result<(u64, i64), Failure> {
    Ok((count, last.ok_or_else(|| fatal("version 2 has no place for a count without a time"))?))
}

fn only_long(items: Vec<u8>) -> Option<Vec<u8>> {
    (items.len() > 1).then_some(items)
}

impl PerEvent for Changed {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        if let Some(seen) = self.seen.get_mut(event)? {
            seen.count += 1;
            self.out.map(event, seen.count.to_string());
        }
        *self.by_day.or_default(event, "wed")? += 1;
        self.latest.append(event, &event.text()?.to_owned())?;
        self.longest.set(event, event.bytes().to_vec())
    }
}

fn fatally(result: Result<(), Failure>) -> String {
    match result {
        Err(Failure::Fatal(reason)) => reason,
        other => panic!("not fatal: {other:?}"),
    }
}

#[test]
fn each_older_version_has_its_own_way_to_the_newest() {
    let mut harness = Harness::<Changed>::new();
    harness.migrate::<Value<u64>>("seen", 1, "a", &41).expect("a migration");
    harness.migrate::<Value<(u64, i64)>>("seen", 2, "b", &(7, 99)).expect("a migration");
    assert_eq!(harness.value("seen", "a"), Some(Seen { count: 41, last: None }));
    assert_eq!(harness.value("seen", "b"), Some(Seen { count: 7, last: Some(99) }));
    let done = harness.process([event("x").key("a"), event("y").key("b")]).expect("a good batch");
    assert_eq!(done.texts("out"), ["42", "8"], "and the stream goes on with it");
}

#[test]
fn a_value_becomes_a_map_and_a_map_a_list() {
    let mut harness = Harness::<Changed>::new();
    harness.migrate::<Value<u64>>("by-day", 1, "a", &5).expect("a migration");
    let days = [("mon".to_owned(), 5_u64), ("tue".to_owned(), 1)];
    assert_eq!(harness.map::<String, u64>("by-day", "a"), days, "in order; of equal map keys the last counts");
    let texts = vec![(1, "one".to_owned()), (2, "two".to_owned())];
    harness.migrate::<Map<u32, String>>("latest", 1, "a", &texts).expect("a migration");
    assert_eq!(harness.list::<String>("latest", "a"), ["one", "two"]);
}

#[test]
fn a_migration_to_nothing_leaves_the_key_without_state() {
    let mut harness = Harness::<Changed>::new();
    harness.put_value("longest", "a", &vec![9_u8]);
    harness.migrate::<List<u8>>("longest", 1, "a", &vec![1]).expect("a migration");
    assert_eq!(harness.value::<Vec<u8>>("longest", "a"), None);
    harness.migrate::<List<u8>>("longest", 1, "a", &vec![1, 2]).expect("a migration");
    assert_eq!(harness.value("longest", "a"), Some(vec![1_u8, 2]));
}

#[test]
fn a_way_back_gives_what_the_older_version_would_have_stored() {
    let mut harness = Harness::<Changed>::new();
    harness.put_value("seen", "a", &Seen { count: 3, last: Some(4) });
    harness.put_value("seen", "b", &Seen { count: 3, last: None });
    assert_eq!(harness.migrate_back::<Value<(u64, i64)>>("seen", 2, "a"), Ok(Some((3, 4))));
    assert_eq!(harness.migrate_back::<Value<(u64, i64)>>("seen", 2, "c"), Ok(None), "nothing stays nothing");
    let refused = harness.migrate_back::<Value<(u64, i64)>>("seen", 2, "b");
    assert_eq!(refused, Err(fatal("key \"b\": version 2 has no place for a count without a time")));
    harness.migrate::<Value<u64>>("by-day", 1, "a", &5).expect("a migration");
    assert_eq!(harness.migrate_back::<Value<u64>>("by-day", 1, "a"), Ok(Some(6)));
}

#[test]
fn what_cannot_be_migrated_says_why() {
    let mut harness = Harness::<Changed>::new();
    let reason = fatally(harness.migrate::<Value<u64>>("seen", 7, "a", &1));
    assert!(
        reason.starts_with("the module does not migrate it from version 7 to version 3; it has `seen` from 1 to 3,"),
        "{reason}"
    );
    let reason = fatally(harness.migrate::<List<u64>>("seen", 1, "a", &vec![1]));
    assert_eq!(reason, "version 1 is a `List`, but the migration takes a `Value`");
    let reason = fatally(harness.migrate::<Value<String>>("seen", 1, "a", &"one".to_owned()));
    assert_eq!(reason, "key \"a\": its bytes are not a `u64`, as the migration says");
}
