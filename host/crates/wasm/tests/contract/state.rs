//! State, metrics and log lines of a call.

use gristmill_ports::telemetry::LogLevel;
use gristmill_types::failure::FaultKind::{InvalidResult, OutputLimit, Trap};
use gristmill_types::outcome::MetricUpdate;
use gristmill_types::{CallFailure, Emission, EventBatch, Rows};

use super::fixture::{Running, assert_fault, options, outcome_of, start, three};
use super::guest::{Guest, HONEST, Out, le};

/// Puts one value for row 0 of a state; the guest's `process` then goes on with `then`.
fn putting(guest: &mut Guest, state: u32, value: &[u8]) -> String {
    let [rows, _] = guest.image.words(&[0]);
    let column = guest.image.column(&[value.len() as u32], value, &[]);
    let column: String = column.iter().map(|word| format!("(i32.const {word}) ")).collect();
    format!("(call $put (i32.const {state}) (i32.const {rows}) (i32.const 1) {column})")
}

/// A guest that reads the state of all rows, puts the values of the batch in its place, and reads again. It emits the
/// slots and the values of one of the two reads: the slots as the value of row 0, the values in order after it.
fn ledger(emit_second: bool) -> Vec<u8> {
    let mut guest = Guest::new(&HONEST);
    let [rows, _] = guest.image.words(&[0, 1, 2]);
    let (first, second) = (guest.image.put(&[0; 32]), guest.image.put(&[0; 32]));
    let [end_of_slots, _] = guest.image.words(&[0]);
    let emissions = guest.image.put(&[0; 128]);
    let outcome = guest.image.put(&le(&[0, emissions, 2, 0, 0]));
    let read = if emit_second { second } else { first };
    let get = |into: u32| {
        format!(
            "(call $get (i32.const 0) (i32.const {rows}) (i32.load offset=32 (local.get $events)) (i32.const {into}))"
        )
    };
    let values: String =
        (0..6).map(|word| format!("(i32.load offset={} (local.get $events))", 60 + 4 * word)).collect();
    let put = format!("(call $put (i32.const 0) (i32.const {rows}) (i32.load offset=32 (local.get $events)) {values})");
    let store = |at: u32, what: &str| format!("(i32.store (i32.const {at}) {what})");
    let load = |at: u32| format!("(i32.load (i32.const {at}))");
    let slot_bytes = format!("(i32.mul (i32.const 4) {})", load(read + 4));
    let mapped = |at: u32| [store(at + 4, "(i32.const 2)"), store(at + 8, &format!("(i32.const {rows})"))].concat();
    let slots = [
        mapped(emissions),
        store(emissions + 12, "(i32.const 1)"),
        store(end_of_slots, &slot_bytes),
        store(emissions + 16, &format!("(i32.const {end_of_slots})")),
        store(emissions + 20, "(i32.const 1)"),
        store(emissions + 24, &load(read)),
        store(emissions + 28, &slot_bytes),
    ];
    let values = [
        mapped(emissions + 64),
        store(emissions + 76, &load(read + 12)),
        format!("(memory.copy (i32.const {}) (i32.const {}) (i32.const 24))", emissions + 80, read + 8),
    ];
    let (slots, values) = (slots.concat(), values.concat());
    guest.process(&format!("{} {put} {} {slots} {values} (i32.const {outcome})", get(first), get(second))).build()
}

/// Slots and values that such a guest read.
fn read_by(running: &mut Running, events: &EventBatch) -> (Vec<u32>, Vec<Option<Vec<u8>>>) {
    let mut outcome = running.call(events).expect("an outcome");
    let values = outcome.emissions.pop().expect("two emissions");
    let slots = outcome.emissions.pop().expect("two emissions");
    let column = |emission: Emission| match emission.rows {
        Rows::Mapped { values, .. } => values,
        other => panic!("not mapped: {other:?}"),
    };
    let slots = column(slots);
    let words = slots.bytes_of(0).chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("a word")));
    (words.collect(), column(values).iter().map(|value| value.map(<[u8]>::to_vec)).collect())
}

/// Three events of the keys `a`, `b` and `a`.
fn valued(values: [Option<&[u8]>; 3]) -> EventBatch {
    let mut batch = EventBatch::default();
    for (key, value) in [b"a", b"b", b"a"].into_iter().zip(values) {
        batch.push(1, Some(key), value);
    }
    batch.hashed()
}

// Rule 8.
#[test]
fn rows_of_one_key_share_a_slot_and_a_value() {
    let mut running = start(&ledger(false), &options()).expect("it opens");
    let large = vec![b'x'; 100_000];
    let events = valued([None, Some(b"of b"), Some(&large)]);
    assert_eq!(read_by(&mut running, &events), (vec![0, 1, 0], vec![None, None]));
    assert_eq!(read_by(&mut running, &events), (vec![0, 1, 0], vec![Some(large), Some(b"of b".to_vec())]));
}

// Rule 12.
#[test]
fn a_null_deletes_and_an_empty_value_does_not() {
    let mut running = start(&ledger(false), &options()).expect("it opens");
    let mut read_then_put = |values| read_by(&mut running, &valued(values)).1;
    assert_eq!(read_then_put([None, Some(b"of b"), Some(b"")]), [None, None], "what was never put is null");
    assert_eq!(read_then_put([Some(b"x"), None, None]), [Some(vec![]), Some(b"of b".to_vec())], "empty is not null");
    assert_eq!(read_then_put([None, None, None]), [None, None], "a null deletes, and the last write of a key wins");
}

// Rule 20.
#[test]
fn within_a_call_reads_see_the_calls_own_writes() {
    let mut running = start(&ledger(true), &options()).expect("it opens");
    let full = read_by(&mut running, &valued([Some(b"lost"), Some(b"of b"), Some(b"of a")]));
    assert_eq!(full, (vec![0, 1, 0], vec![Some(b"of a".to_vec()), Some(b"of b".to_vec())]));
    assert_eq!(read_by(&mut running, &valued([None, None, None])).1, [None, None], "also its deletes");
}

#[test]
fn the_backend_is_back_in_its_place_after_a_trap() {
    let mut guest = Guest::new(&HONEST);
    let put = putting(&mut guest, 0, b"lost");
    let mut running = start(&guest.process(&format!("{put} unreachable")).build(), &options()).expect("it opens");
    assert_fault(running.call(&three()), Trap, "gave up");
    assert_eq!(running.kept_for_row_0(&three()), None, "and what was written in the failed call is gone");
}

// Rule 19.
#[test]
fn misuse_of_state_is_a_fault_that_says_what_was_wrong() {
    let mut guest = Guest::new(&HONEST);
    let put = putting(&mut guest, 7, b"x");
    let undeclared = guest.process(&format!("{put} unreachable")).build();
    assert_fault(
        outcome_of(&undeclared),
        InvalidResult,
        "state.put: state 7 is not declared; the descriptor declares 1",
    );

    let mut guest = Guest::new(&HONEST);
    let [rows, _] = guest.image.words(&[9]);
    let get = format!("(call $get (i32.const 0) (i32.const {rows}) (i32.const 1) (i32.const 64)) unreachable");
    assert_fault(
        outcome_of(&guest.process(&get).build()),
        InvalidResult,
        "state.get: row 9 does not exist; the batch has 3",
    );

    let mut guest = Guest::new(&HONEST);
    let [rows, _] = guest.image.words(&[0]);
    let uneven = format!(
        "(call $put (i32.const 0) (i32.const {rows}) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) \
         (i32.const 0) (i32.const 0) (i32.const 0)) unreachable"
    );
    assert_fault(outcome_of(&guest.process(&uneven).build()), InvalidResult, "1 rows were given with 0 values");

    let mut keyless = EventBatch::default();
    keyless.push(1, None, None);
    let mut running = start(&ledger(false), &options()).expect("it opens");
    assert_fault(running.call(&keyless), InvalidResult, "row 0 has no key");
}

// Rule 19.
#[test]
fn state_outside_of_process_is_a_fault() {
    let mut guest = Guest::new(&HONEST);
    let put = putting(&mut guest, 0, b"early");
    let early = guest.open(&format!("{put} unreachable")).process("unreachable").build();
    let opened = start(&early, &options()).map(|_| ());
    assert_fault(opened, InvalidResult, "only while the guest processes");
}

#[test]
fn a_broken_backend_is_not_blamed_on_the_guest() {
    let mut running = start(&ledger(false), &options()).expect("it opens");
    running.state = Box::new(super::broken::Broken);
    let failure = running.call(&three()).expect_err("a failure");
    assert!(matches!(&failure, CallFailure::Host(message) if message.contains("the disk is gone")), "{failure}");
}

// Rule 6.
#[test]
fn writes_count_against_the_output_limit() {
    let mut guest = Guest::new(&HONEST);
    let put = putting(&mut guest, 0, &[b'x'; 10_000]);
    let flood = format!("(loop $again {put} (br $again)) unreachable");
    assert_fault(outcome_of(&guest.process(&flood).build()), OutputLimit, "more than 1 MiB");
}

// Rule 17.
#[test]
fn metrics_count_with_the_call() {
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.outcome(&[], &[]);
    let body = format!(
        "(call $add (i32.const 0) (i64.const 2)) (call $add (i32.const 0) (i64.const 3)) \
         (call $observe (i32.const 0) (f64.const 0.5)) (i32.const {at})"
    );
    let mut running = start(&guest.process(&body).build(), &options()).expect("it opens");
    for _ in 0..2 {
        let outcome = running.call(&three()).expect("an outcome");
        let expected = [MetricUpdate::Add { metric: 0, delta: 5 }, MetricUpdate::Observe { metric: 0, value: 0.5 }];
        assert_eq!(outcome.metrics, expected);
    }
    let undeclared = Guest::new(&HONEST).process("(call $add (i32.const 1) (i64.const 1)) unreachable").build();
    assert_fault(outcome_of(&undeclared), InvalidResult, "metric 1 is not declared");
}

// Rule 17.
#[test]
fn log_lines_do_not_wait_for_the_call() {
    let mut guest = Guest::new(&HONEST);
    let [at, length] = guest.image.bytes("so far".as_bytes());
    let write = format!(
        "(call $log (i32.const 3) (i32.const 1) (i32.const 2) (i32.const {at}) (i32.const {length})) unreachable"
    );
    let mut running = start(&guest.process(&write).build(), &options()).expect("it opens");
    assert_fault(running.call(&three()), Trap, "gave up");
    let lines = running.heard.lines.lock().expect("no panic");
    assert_eq!(*lines, [(LogLevel::Warn, Some(2), "so far".to_owned())]);
}

#[test]
fn events_of_the_contract_do_not_mix() {
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let mixed = guest.process(&format!("(call $event-delete) (i32.const {at})")).build();
    assert_fault(outcome_of(&mixed), InvalidResult, "there is no current event in `process`; use `state`");
}
