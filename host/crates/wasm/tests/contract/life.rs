//! How long an instance lives.

use gristmill_ports::module_registry::PrepareOptions;
use gristmill_types::failure::FaultKind::Trap;
use gristmill_types::{CallFailure, EventBatch};

use super::fixture::{assert_fault, options, start, three};
use super::guest::{Guest, HONEST, Out};

/// Logs "open" when opened.
fn announcing(guest: &mut Guest) -> String {
    let [at, length] = guest.image.bytes(b"open");
    let opened = guest.image.put(&[0; 16]);
    format!(
        "(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {at}) (i32.const {length})) (i32.const {opened})"
    )
}

/// A batch of so many events.
fn rows(count: i64) -> EventBatch {
    let mut batch = EventBatch::default();
    (0..count).for_each(|time| batch.push(time, Some(b"a"), None));
    batch
}

// Rule 16. The guest traps on a single event.
#[test]
fn after_a_trap_a_fresh_instance_is_opened() {
    let mut guest = Guest::new(&HONEST);
    let open = announcing(&mut guest);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    // The arguments lie in memory: the call in 24 bytes, the input in 4, then address and number of the timestamps.
    let body = format!(
        "(if (i32.eq (i32.const 1) (i32.load offset=32 (local.get $events))) (then unreachable)) (i32.const {at})"
    );
    let mut running = start(&guest.open(&open).process(&body).build(), &options()).expect("it opens");
    running.call(&three()).expect("an outcome");
    running.call(&three()).expect("an outcome");
    assert_eq!(running.heard.texts().len(), 1, "one instance for many calls");
    assert_fault(running.call(&rows(1)), Trap, "gave up");
    running.call(&three()).expect("an outcome again");
    assert_eq!(running.heard.texts(), ["open", "open"]);
}

// Rule 16.
#[test]
fn after_an_invalid_result_a_fresh_instance_is_opened() {
    let mut guest = Guest::new(&HONEST);
    let open = announcing(&mut guest);
    let at = guest.image.outcome(&[(0, Out::Selected(&[2]))], &[]);
    let bytes = guest.open(&open).process(&format!("(i32.const {at})")).build();
    let mut running = start(&bytes, &options()).expect("it opens");
    running.call(&rows(1)).expect_err("row 2 of 1");
    running.call(&three()).expect("an outcome");
    assert_eq!(running.heard.texts(), ["open", "open"]);
}

// Rule 16: what a guest returns as an error is an answer, not a breakdown.
#[test]
fn after_an_error_the_instance_stays() {
    let mut guest = Guest::new(&HONEST);
    let open = announcing(&mut guest);
    let at = guest.image.failure(1, "later");
    let bytes = guest.open(&open).process(&format!("(i32.const {at})")).build();
    let mut running = start(&bytes, &options()).expect("it opens");
    for _ in 0..3 {
        assert_eq!(running.call(&three()), Err(CallFailure::Transient("later".to_owned())));
    }
    assert_eq!(running.heard.texts(), ["open"]);
}

// Rule 11.
#[test]
fn an_oversized_instance_is_replaced_between_calls() {
    let mut guest = Guest::new(&HONEST);
    let open = announcing(&mut guest);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    // Three calls of 64 pages each take it past three quarters of 16 MiB.
    let body = format!("(drop (memory.grow (i32.const 64))) (i32.const {at})");
    let bytes = guest.open(&open).process(&body).build();
    let mut running = start(&bytes, &PrepareOptions { memory_bytes: 16 << 20, ..options() }).expect("it opens");
    (0..6).for_each(|_| assert!(running.call(&three()).is_ok(), "no call fails for it"));
    assert_eq!(running.heard.texts(), ["open", "open"]);
}

#[test]
fn what_open_says_is_why_the_operator_does_not_start() {
    for (kind, expected) in [
        (0, CallFailure::Fatal("`open`: no currency".to_owned())),
        (1, CallFailure::Transient("`open`: no currency".to_owned())),
        (2, CallFailure::Fatal("`open`: no currency".to_owned())),
    ] {
        let mut guest = Guest::new(&HONEST);
        let at = guest.image.failure(kind, "no currency");
        let bytes = guest.open(&format!("(i32.const {at})")).process("unreachable").build();
        assert_eq!(start(&bytes, &options()).map(|_| ()), Err(expected));
    }
}

// Rule 9.
#[test]
fn a_trap_in_post_return_fails_the_call() {
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let bytes = guest.post_return("unreachable").process(&format!("(i32.const {at})")).build();
    let mut running = start(&bytes, &options()).expect("it opens");
    assert_fault(running.call(&three()), Trap, "gave up");
}
