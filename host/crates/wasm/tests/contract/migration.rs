//! A module that rewrites state: how it is asked, and how it ends (rule 22).

use std::sync::Arc;
use std::time::Duration;

use gristmill_ports::clock::ManualClock;
use gristmill_ports::migration::{Entries, Migration};
use gristmill_ports::module_registry::{ModuleRegistry, PrepareOptions};
use gristmill_ports::{Migrator, Signal};
use gristmill_types::descriptor::StateKind;
use gristmill_types::failure::FaultKind::{Deadline, InvalidResult, Memory, OutputLimit, Trap};
use gristmill_types::{CallFailure, Column};

use super::fixture::{Heard, Registry, assert_fault, context, options};
use super::guest::{Guest, HONEST};

/// From version 1 to version 2 of the state `count`, between these kinds.
pub(crate) const fn migration(from_kind: StateKind, to_kind: StateKind) -> Migration<'static> {
    Migration { state: "count", from_version: 1, from_kind, to_version: 2, to_kind }
}

/// Of a value to a value.
const VALUES: Migration<'static> = migration(StateKind::Value, StateKind::Value);

/// The keys `a`, `b` and `c`; `a` and `c` have a value each.
pub(crate) fn page() -> Entries {
    Entries {
        keys: texts(&["a", "b", "c"]),
        owners: vec![0, 2],
        map_keys: Column::default(),
        values: texts(&["1", "three"]),
    }
}

pub(crate) fn texts(values: &[&str]) -> Column {
    values.iter().map(|value| Some(value.as_bytes())).collect()
}

/// A migrator, with what it logs.
pub(crate) struct Migrating {
    pub(crate) migrator: Box<dyn Migrator>,
    heard: Arc<Heard>,
    interrupt: Signal,
    _registry: Registry,
}

/// The migrator of a guest that also processes, in vain.
pub(crate) fn migrating(guest: Guest, options: &PrepareOptions) -> Result<Migrating, CallFailure> {
    migrating_module(&guest.process("unreachable").build(), options)
}

/// The migrator of a module.
pub(crate) fn migrating_module(bytes: &[u8], options: &PrepareOptions) -> Result<Migrating, CallFailure> {
    let registry = Registry::new();
    let prepared = registry.modules.prepare(bytes, options).expect("admitted");
    let (heard, interrupt) = (Arc::new(Heard::default()), Signal::default());
    let context = context(&prepared.parameters, &heard, &Arc::new(ManualClock::default()), &interrupt);
    let migrator = prepared.factory.migrator(context)?.expect("the module exports `migration`");
    Ok(Migrating { migrator, heard, interrupt, _registry: registry })
}

/// What a guest makes of the page.
fn migrated(guest: Guest) -> Result<Entries, CallFailure> {
    migrating(guest, &options())?.migrator.migrate(VALUES, &page())
}

/// Gives the page back as it came.
fn echoing(guest: &mut Guest) -> String {
    let answer = guest.image.put(&[0; 84]);
    let to = answer + 4;
    format!(
        "(memory.copy (i32.const {to}) (i32.add (local.get $asked) (i32.const 20)) (i32.const 80)) (i32.const {answer})"
    )
}

/// Logs "open" when opened.
fn announcing(mut guest: Guest) -> Guest {
    let [at, length] = guest.image.bytes(b"open");
    let opened = guest.image.put(&[0; 16]);
    guest.open(&format!(
        "(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {at}) (i32.const {length})) (i32.const {opened})"
    ))
}

#[test]
fn a_page_goes_in_and_comes_out_whole() {
    let mut guest = Guest::new(&HONEST);
    let echo = echoing(&mut guest);
    assert_eq!(migrated(guest.migrate(&echo)), Ok(page()));
    let mut guest = Guest::new(&HONEST);
    let echo = echoing(&mut guest);
    let mut migrating = migrating(guest.migrate(&echo), &options()).expect("it opens");
    let map = Entries {
        keys: texts(&["a", "b"]),
        owners: vec![0, 0, 1],
        map_keys: texts(&["x", "y", "x"]),
        values: Column::from_iter([Some(&b"1"[..]), None, Some(b"")]),
    };
    let maps = migration(StateKind::OrderedMap, StateKind::OrderedMap);
    assert_eq!(migrating.migrator.migrate(maps, &map), Ok(map), "also one of a map, with a null and an empty value");
    assert_eq!(migrating.migrator.migrate(VALUES, &Entries::default()), Ok(Entries::default()), "and an empty one");
}

#[test]
fn it_is_told_the_state_and_from_what_to_what() {
    let mut guest = Guest::new(&HONEST);
    // The value of the key `a` is to be the state's name, five bytes, and the twelve bytes of versions and kind.
    let at = guest.image.entries((&[1], b"a", &[]), &[0], (&[], b"", &[]), (&[17], &[0; 17], &[]));
    let value = format!("(i32.load (i32.const {}))", at + 4 * 17);
    let name = format!("(memory.copy {value} (i32.load (local.get $asked)) (i32.load offset=4 (local.get $asked)))");
    let numbers = format!(
        "(memory.copy (i32.add {value} (i32.const 5)) (i32.add (local.get $asked) (i32.const 8)) (i32.const 12))"
    );
    let guest = guest.migrate(&format!("{name} {numbers} (i32.const {at})"));
    let mut migrating = migrating(guest, &options()).expect("it opens");
    let asked = Migration { from_version: 7, to_version: 9, ..migration(StateKind::OrderedMap, StateKind::Value) };
    let told = migrating.migrator.migrate(asked, &page()).expect("an answer");
    let told = told.values.get(0).expect("a value");
    let word = |at: usize| u32::from_le_bytes(told[at..at + 4].try_into().expect("a word"));
    assert_eq!((&told[..5], word(5), told[9], word(13)), (&b"count"[..], 7, 2, 9));
}

#[test]
fn only_a_module_that_exports_migration_has_a_migrator() {
    let registry = Registry::new();
    let without = Guest::new(&HONEST).process("unreachable").build();
    let prepared = registry.modules.prepare(&without, &options()).expect("admitted");
    let heard = Arc::new(Heard::default());
    let told = context("{}", &heard, &Arc::new(ManualClock::default()), &Signal::default());
    assert!(prepared.factory.migrator(told).expect("nothing fails").is_none());

    let with = Guest::new(&HONEST).migrate("unreachable").process("unreachable").build();
    let admission = registry.admit(&with).expect("admitted");
    assert!(admission.exports.contains(&"gristmill:operator/migration@0.1.0".to_owned()), "{:?}", admission.exports);
    assert!(admission.warnings.is_empty(), "{:?}", admission.warnings);
}

// Rule 16.
#[test]
fn it_is_opened_once_and_again_after_a_fault() {
    let mut guest = announcing(Guest::new(&HONEST));
    let echo = echoing(&mut guest);
    // Traps on a page of one key.
    let body = format!("(if (i32.eq (i32.const 1) (i32.load offset=24 (local.get $asked))) (then unreachable)) {echo}");
    let mut migrating = migrating(guest.migrate(&body), &options()).expect("it opens");
    let poison = Entries { keys: texts(&["a"]), ..Entries::default() };
    for _ in 0..3 {
        migrating.migrator.migrate(VALUES, &page()).expect("an answer");
    }
    assert_eq!(migrating.heard.texts(), ["open"], "one instance for many pages");
    assert_fault(migrating.migrator.migrate(VALUES, &poison), Trap, "gave up");
    assert_fault(migrating.migrator.migrate(VALUES, &poison), Trap, "gave up");
    assert_eq!(migrating.migrator.migrate(VALUES, &page()), Ok(page()), "a fresh instance goes on");
    assert_eq!(migrating.heard.texts(), ["open"; 3]);
}

#[test]
fn an_invalid_answer_drops_the_instance_and_an_error_does_not() {
    let mut guest = announcing(Guest::new(&HONEST));
    let stranger = guest.image.entries((&[1], b"z", &[]), &[], (&[], b"", &[]), (&[], b"", &[]));
    let guest = guest.migrate(&format!("(i32.const {stranger})"));
    let mut lying = migrating(guest, &options()).expect("it opens");
    for _ in 0..2 {
        assert_fault(lying.migrator.migrate(VALUES, &page()), InvalidResult, "not one of the page's 3");
    }
    assert_eq!(lying.heard.texts(), ["open", "open"]);

    let mut guest = announcing(Guest::new(&HONEST));
    let at = guest.image.failure(2, "no such version");
    let mut refusing = migrating(guest.migrate(&format!("(i32.const {at})")), &options()).expect("it opens");
    for _ in 0..2 {
        let said = "`migrate` of state `count`: no such version".to_owned();
        assert_eq!(refusing.migrator.migrate(VALUES, &page()), Err(CallFailure::Fatal(said)));
    }
    assert_eq!(refusing.heard.texts(), ["open"]);
}

// Rule 18. Whenever entries are migrated, they become the same.
#[test]
fn a_migration_is_not_told_the_time() {
    let import = r#"(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))"#;
    let mut guest = Guest::new(&HONEST).importing(import);
    let at = guest.image.entries((&[1], b"a", &[]), &[0], (&[], b"", &[]), (&[8], &[7; 8], &[]));
    let time = format!("(drop (call $clock (i32.const 0) (i64.const 1) (i32.load (i32.const {}))))", at + 4 * 17);
    let mut migrating = migrating(guest.migrate(&format!("{time} (i32.const {at})")), &options()).expect("it opens");
    let seen = migrating.migrator.migrate(VALUES, &page()).expect("an answer");
    assert_eq!(seen.values, Column::from_iter([Some(&[0; 8][..])]));
}

// Rule 19.
#[test]
fn state_and_metrics_within_a_migration_are_a_fault() {
    let mut guest = Guest::new(&HONEST);
    let [rows, _] = guest.image.words(&[0]);
    let get = format!("(call $get (i32.const 0) (i32.const {rows}) (i32.const 1) (i32.const 64)) unreachable");
    assert_fault(migrated(guest.migrate(&get)), InvalidResult, "state.get: state can be used only while");
    let put = "(call $event-delete) unreachable";
    assert_fault(migrated(Guest::new(&HONEST).migrate(put)), InvalidResult, "event-state.delete: state can be used");
    let add = "(call $add (i32.const 0) (i64.const 1)) unreachable";
    assert_fault(migrated(Guest::new(&HONEST).migrate(add)), InvalidResult, "metrics can be counted only while");
}

#[test]
fn a_migration_that_loops_is_stopped_at_the_deadline_of_a_call() {
    let options = PrepareOptions { call: Duration::from_millis(50), ..options() };
    let guest = Guest::new(&HONEST).migrate("(loop $again (br $again)) unreachable");
    let mut migrating = migrating(guest, &options).expect("it opens");
    for _ in 0..2 {
        assert_fault(migrating.migrator.migrate(VALUES, &page()), Deadline, "longer than 50ms");
    }
}

#[test]
fn a_migration_ends_when_its_job_is_over() {
    let guest = Guest::new(&HONEST).migrate("(loop $again (br $again)) unreachable");
    let mut migrating = migrating(guest, &options()).expect("it opens");
    let interrupt = migrating.interrupt.clone();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| migrating.migrator.migrate(VALUES, &page()));
        interrupt.raise();
        assert_fault(waiting.join().expect("no panic"), Deadline, "the job is over");
    });
}

// Rule 6.
#[test]
fn memory_and_answers_have_the_limits_of_a_call() {
    let greedy = "(loop $again (br_if $again (i32.ne (i32.const -1) (memory.grow (i32.const 16))))) unreachable";
    assert_fault(migrated(Guest::new(&HONEST).migrate(greedy)), Memory, "its 16 MiB of memory");

    let mut guest = Guest::new(&HONEST);
    let at = guest.image.entries((&[1], b"a", &[]), &[0], (&[], b"", &[]), (&[1 << 21], b"", &[]));
    // The value's bytes: two mebibytes of the guest's memory, whatever they are.
    let length = at + 4 * 18;
    let body = format!(
        "(drop (memory.grow (i32.const 64))) (i32.store (i32.const {length}) (i32.const {})) (i32.const {at})",
        1 << 21
    );
    assert_fault(migrated(guest.migrate(&body)), OutputLimit, "more than 1 MiB");
}

#[test]
fn a_page_that_does_not_fit_into_the_guest_is_a_fault_of_memory() {
    let mut guest = Guest::new(&HONEST);
    let echo = echoing(&mut guest);
    let mut migrating = migrating(guest.migrate(&echo), &options()).expect("it opens");
    let large = Entries {
        keys: texts(&["a"]),
        owners: vec![0],
        map_keys: Column::default(),
        values: Column::from_iter([Some(&vec![b'x'; 20 << 20][..])]),
    };
    assert_fault(migrating.migrator.migrate(VALUES, &large), Memory, "its 16 MiB of memory");
    assert_eq!(migrating.migrator.migrate(VALUES, &page()), Ok(page()), "and smaller ones go on");
}

#[test]
fn what_open_says_is_why_there_is_no_migrator() {
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.failure(2, "no currency");
    let guest = guest.open(&format!("(i32.const {at})")).migrate("unreachable");
    let refused = migrating(guest, &options()).map(|_| ());
    assert_eq!(refused, Err(CallFailure::Fatal("`open`: no currency".to_owned())));
}
