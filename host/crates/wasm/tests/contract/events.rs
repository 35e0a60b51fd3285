//! Guests that take one event at a time get the guarantees of a batch.

use gristmill_types::failure::FaultKind::{InvalidResult, OutputLimit, Trap};
use gristmill_types::{CallFailure, EventBatch, Rejection, Rows};

use super::fixture::{assert_fault, options, start, three};
use super::guest::{Guest, le};

/// A guest that counts the events of each key in one byte, emits an event with the count, and answers an event at the
/// time of 99 with the failure laid out as `failure`, after it has counted it.
fn counting(guest: &mut Guest, failure: u32) -> String {
    let read = guest.image.put(&[0; 16]);
    let count = guest.image.put(&[0; 8]);
    // timestamp 7, no key, one byte of value.
    let event = guest.image.put(&le(&[7, 0, 0, 0, 0, 1, count, 1]));
    let ok = guest.image.put(&le(&[0, event, 1, 0]));
    format!(
        "(call $event-get (i32.const {read})) (i32.store8 (i32.const {count}) (i32.const 1)) \
         (if (i32.load8_u (i32.const {read})) (then (i32.store8 (i32.const {count}) \
         (i32.add (i32.const 1) (i32.load8_u (i32.load offset=4 (i32.const {read}))))))) \
         (call $event-put (i32.const {count}) (i32.const 1)) \
         (if (i64.eq (local.get $time) (i64.const 99)) (then (return (i32.const {failure})))) (i32.const {ok})"
    )
}

fn counter(kind: u32) -> Vec<u8> {
    let mut guest = Guest::of_events();
    let failure = guest.image.failure(kind, "ninety-nine");
    let body = counting(&mut guest, failure);
    guest.on_event(&body).build()
}

/// Values of the events that a call created.
fn counts(outcome: &gristmill_types::Outcome) -> Vec<u8> {
    match outcome.emissions.as_slice() {
        [] => Vec::new(),
        [one] => match &one.rows {
            Rows::Created(batch) => batch.values().iter().map(|value| value.expect("a value")[0]).collect(),
            other => panic!("not created: {other:?}"),
        },
        more => panic!("{} emissions", more.len()),
    }
}

fn with_a_bad_one() -> EventBatch {
    let mut batch = EventBatch::default();
    batch.push(1, Some(b"a"), None);
    batch.push(99, Some(b"a"), None);
    batch.push(3, Some(b"a"), None);
    batch.hashed()
}

// Rule 5.
#[test]
fn every_event_reaches_the_state_of_its_own_key() {
    let mut running = start(&counter(0), &options()).expect("it opens");
    assert_eq!(counts(&running.call(&three()).expect("an outcome")), [1, 1, 2]);
    assert_eq!(counts(&running.call(&three()).expect("an outcome")), [3, 2, 4]);
}

// Rule 17.
#[test]
fn a_bad_record_takes_back_its_own_writes_and_rejects_its_row() {
    let mut running = start(&counter(0), &options()).expect("it opens");
    let outcome = running.call(&with_a_bad_one()).expect("an outcome");
    assert_eq!(counts(&outcome), [1, 2], "the bad one was not counted");
    assert_eq!(outcome.rejections, [Rejection { row: 1, reason: "ninety-nine".to_owned() }]);
}

// Rule 17.
#[test]
fn other_failures_are_those_of_the_whole_batch() {
    let said = "ninety-nine".to_owned();
    for (kind, expected) in [(1, CallFailure::Transient(said.clone())), (2, CallFailure::Fatal(said))] {
        let mut running = start(&counter(kind), &options()).expect("it opens");
        assert_eq!(running.call(&with_a_bad_one()), Err(expected));
        assert_eq!(counts(&running.call(&three()).expect("an outcome")), [1, 1, 2], "nothing of it stayed");
    }
}

#[test]
fn a_trap_is_a_fault_of_the_batch_and_the_state_is_back() {
    let mut running = start(&Guest::of_events().on_event("unreachable").build(), &options()).expect("it opens");
    for _ in 0..2 {
        assert_fault(running.call(&three()), Trap, "gave up");
    }
}

// Rule 6.
#[test]
fn events_together_are_held_to_the_output_limit() {
    let mut guest = Guest::of_events();
    let [value, length] = guest.image.bytes(&[b'x'; 100_000]);
    let event = guest.image.put(&le(&[7, 0, 0, 0, 0, 1, value, length]));
    let ok = guest.image.put(&le(&[0, event, 1, 0]));
    let bytes = guest.on_event(&format!("(i32.const {ok})")).build();
    let mut running = start(&bytes, &options()).expect("it opens");
    assert!(running.call(&three()).is_ok());
    let mut many = EventBatch::default();
    (0..20).for_each(|time| many.push(time, Some(b"a"), None));
    assert_fault(running.call(&many), OutputLimit, "more than 1 MiB");
}

// Rule 19.
#[test]
fn an_event_without_key_has_no_state() {
    let mut keyless = EventBatch::default();
    keyless.push(1, None, None);
    let mut running = start(&counter(0), &options()).expect("it opens");
    assert_fault(running.call(&keyless), InvalidResult, "event-state.get: row 0 has no key");
}
