//! State, metrics and log lines of a call.

use gristmill_ports::telemetry::LogLevel;
use gristmill_types::failure::FaultKind::{InvalidResult, OutputLimit, Trap};
use gristmill_types::outcome::MetricUpdate;
use gristmill_types::{CallFailure, EventBatch, Rows};

use super::fixture::{assert_fault, options, outcome_of, start, three};
use super::guest::{Guest, HONEST, Out};

/// Puts one value for row 0 of a state; the guest's `process` then goes on with `then`.
fn putting(guest: &mut Guest, state: u32, value: &[u8]) -> String {
    let [rows, _] = guest.image.words(&[0]);
    let column = guest.image.column(&[value.len() as u32], value, &[]);
    let column: String = column.iter().map(|word| format!("(i32.const {word}) ")).collect();
    format!("(call $put (i32.const {state}) (i32.const {rows}) (i32.const 1) {column})")
}

/// A guest that emits the stored value of row 0's key, through `mapped`, and then stores `new`.
fn remembering() -> Vec<u8> {
    let mut guest = Guest::new(&HONEST);
    let put = putting(&mut guest, 0, b"new");
    let [rows, _] = guest.image.words(&[0]);
    // `get` writes a `read` of eight words here; its values become those of the emission.
    let read = guest.image.put(&[0; 32]);
    let emission = guest.image.put(&super::guest::le(&[0, 2, rows, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    let outcome = guest.image.put(&super::guest::le(&[0, emission, 1, 0, 0]));
    let body = format!(
        "(call $get (i32.const 0) (i32.const {rows}) (i32.const 1) (i32.const {read})) \
         (memory.copy (i32.const {}) (i32.const {}) (i32.const 24)) {put} (i32.const {outcome})",
        emission + 16,
        read + 8
    );
    guest.process(&body).build()
}

fn value_of(outcome: &gristmill_types::Outcome) -> Option<Vec<u8>> {
    match &outcome.emissions[0].rows {
        Rows::Mapped { values, .. } => values.get(0).map(<[u8]>::to_vec),
        other => panic!("not mapped: {other:?}"),
    }
}

// Rules 8, 12.
#[test]
fn state_comes_back_by_row_and_absent_state_is_null() {
    let mut running = start(&remembering(), &options()).expect("it opens");
    assert_eq!(value_of(&running.call(&three()).expect("an outcome")), None);
    assert_eq!(value_of(&running.call(&three()).expect("an outcome")), Some(b"new".to_vec()));
}

#[test]
fn the_backend_is_back_in_its_place_after_a_trap() {
    let mut guest = Guest::new(&HONEST);
    let put = putting(&mut guest, 0, b"lost");
    let mut running = start(&guest.process(&format!("{put} unreachable")).build(), &options()).expect("it opens");
    assert_fault(running.call(&three()), Trap, "gave up");
    running.state.begin(&three());
    let read = running.state.get(gristmill_types::StateIndex(0), &[0]).expect("the notebook answers");
    assert_eq!(read.values.get(0), None, "and what was written in the failed call is gone");
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
    let mut running = start(&remembering(), &options()).expect("it opens");
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
    let mut running = start(&remembering(), &options()).expect("it opens");
    running.state = Box::new(super::notebook::Notebook::broken());
    let failure = running.call(&three()).expect_err("a failure");
    assert!(matches!(&failure, CallFailure::Fatal(message) if message.contains("the disk is gone")), "{failure}");
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
