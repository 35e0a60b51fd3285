//! Later versions of `count` and `word-count`, as compilers make them, and what they do to the state of the earlier ones.

use std::path::Path;
use std::time::Duration;

use gristmill_ports::Migrator;
use gristmill_ports::migration::{Entries, Migration};
use gristmill_ports::module_registry::PrepareOptions;
use gristmill_types::descriptor::StateKind::{OrderedMap, Value};
use gristmill_types::failure::FaultKind::{Deadline, InvalidResult, OutputLimit, Trap};
use gristmill_types::{CallFailure, Column};
use serde_json::json;

use super::fixture::{Registry, assert_fault, options};
use super::migration::{migrating_module, texts};

/// A module that `cargo xtask guests` has built.
fn built(workspace: &str, name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let path = root.join(workspace).join(format!("target/modules/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; `make guests` builds it", path.display()))
}

pub(crate) fn odd(name: &str) -> Vec<u8> {
    built("tests/guests", name)
}

pub(crate) fn example(name: &str) -> Vec<u8> {
    built("guest-examples", name)
}

/// From one version of `counts` to another; version 3 is a map.
fn counts(from_version: u32, to_version: u32) -> Migration<'static> {
    let kind = |version: u32| if version == 3 { OrderedMap } else { Value };
    let (from_kind, to_kind) = (kind(from_version), kind(to_version));
    Migration { state: "counts", from_version, from_kind, to_version, to_kind }
}

/// So many keys with a count each, as version 1 of `count` stores it.
fn counted(keys: u64) -> Entries {
    let names: Vec<String> = (0..keys).map(|key| format!("key-{key}")).collect();
    let bytes: Vec<[u8; 8]> = (0..keys).map(|count| (count + 1).to_le_bytes()).collect();
    Entries {
        keys: names.iter().map(|name| Some(name.as_bytes())).collect(),
        owners: (0..keys as u32).collect(),
        map_keys: Column::default(),
        values: bytes.iter().map(|count| Some(&count[..])).collect(),
    }
}

fn migrate(
    bytes: &[u8],
    options: &PrepareOptions,
    migration: Migration<'_>,
    page: &Entries,
) -> Result<Entries, CallFailure> {
    migrating_module(bytes, options)?.migrator.migrate(migration, page)
}

#[test]
fn a_changed_schema_goes_there_and_back() {
    let mut migrating = migrating_module(&odd("migrate-count"), &options()).expect("it opens");
    let migrator: &mut dyn Migrator = &mut *migrating.migrator;
    let before = counted(1_000);
    let there = migrator.migrate(counts(1, 2), &before).expect("an answer");
    assert_eq!((&there.keys, &there.owners), (&before.keys, &before.owners));
    assert!(there.values.iter().all(|value| value.is_some_and(|bytes| bytes.len() == 16)));
    assert_eq!(migrator.migrate(counts(2, 1), &there), Ok(before));
}

#[test]
fn a_value_becomes_a_map_from_either_older_version() {
    let before = counted(3);
    let second = migrate(&odd("migrate-count"), &options(), counts(1, 2), &before).expect("an answer");
    let map = odd("migrate-count-map");
    let from_first = migrate(&map, &options(), counts(1, 3), &before).expect("an answer");
    assert_eq!(from_first, Entries { map_keys: texts(&["count"; 3]), ..before });
    assert_eq!(migrate(&map, &options(), counts(2, 3), &second), Ok(from_first));
}

#[test]
fn an_operator_of_the_sdk_migrates_what_its_first_version_stored() {
    let count = |from_version, to_version| Migration { state: "count", ..counts(from_version, to_version) };
    // 41 and 300, as the SDK writes numbers; then each with the time that is not known.
    let number = |bytes: &[&[u8]]| -> Column { bytes.iter().map(|bytes| Some(*bytes)).collect() };
    let before = Entries {
        keys: texts(&["to", "be"]),
        owners: vec![0, 1],
        map_keys: Column::default(),
        values: number(&[&[41], &[0xac, 2]]),
    };
    let bytes = built("guest-examples", "word-count-v2");
    let there = migrate(&bytes, &options(), count(1, 2), &before).expect("an answer");
    assert_eq!(there, Entries { values: number(&[&[41, 0], &[0xac, 2, 0]]), ..before.clone() });
    assert_eq!(migrate(&bytes, &options(), count(2, 1), &there), Ok(before.clone()));

    let foreign = Entries { values: number(&[&[41], &[0xff]]), ..before };
    let refused = migrate(&bytes, &options(), count(1, 2), &foreign).expect_err("no number").to_string();
    assert!(refused.contains("`migrate` of state `count`: key \"be\": its bytes are not a `u64`"), "{refused}");
    let refused = migrate(&bytes, &options(), count(7, 2), &foreign).expect_err("no such way").to_string();
    assert!(
        refused.contains("does not migrate it from version 7 to version 2; it has `count` from 1 to 2"),
        "{refused}"
    );
}

#[test]
fn a_module_of_the_sdk_exports_migration_only_if_it_migrates() {
    let exports = |name| Registry::new().admit(&built("guest-examples", name)).expect("admitted").exports;
    let migrates = |name| exports(name).iter().any(|export| export.contains("migration"));
    assert!(migrates("word-count-v2") && !migrates("word-count"));
}

#[test]
fn a_migration_that_fails_at_the_thousandth_entry_is_found_out() {
    let short = PrepareOptions { call: Duration::from_millis(200), ..options() };
    for (name, kind, says) in [("migrate-trap", Trap, "gave up"), ("migrate-spin", Deadline, "longer than 200ms")] {
        let mut migrating = migrating_module(&odd(name), &short).expect("it opens");
        let mut migrate = |keys| migrating.migrator.migrate(counts(1, 2), &counted(keys));
        assert!(migrate(600).is_ok() && migrate(399).is_ok());
        assert_fault(migrate(1), kind, says);
        assert!(migrate(600).is_ok(), "a fresh instance has seen nothing");
    }
    let at_once = PrepareOptions { parameters: Some(json!({"at": 1})), ..options() };
    assert_fault(migrate(&odd("migrate-trap"), &at_once, counts(1, 2), &counted(1)), Trap, "gave up");
}

#[test]
fn migrations_that_lie_or_refuse_are_found_out() {
    let first = |name| migrate(&odd(name), &options(), counts(1, 2), &counted(2));
    assert_fault(first("migrate-owners"), InvalidResult, "an entry belongs to key 2, but the answer has 2 keys");
    assert_fault(first("migrate-keys"), InvalidResult, "key 1 of the answer is not one of the page's 2");
    let said = "`migrate` of state `counts`: there is no way from version 1 to version 2".to_owned();
    assert_eq!(first("migrate-refuse"), Err(CallFailure::Fatal(said)));
    let roomy = PrepareOptions { memory_bytes: 256 << 20, ..options() };
    let giant = migrate(&odd("migrate-giant"), &roomy, counts(1, 2), &counted(2));
    assert_fault(giant, OutputLimit, "more than 1 MiB");
}
