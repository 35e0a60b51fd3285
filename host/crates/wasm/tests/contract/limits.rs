//! Guests that want too much are stopped, and only they.

use std::time::{Duration, Instant};

use gristmill_ports::module_registry::PrepareOptions;
use gristmill_types::failure::FaultKind::{Deadline, Memory, OutputLimit, Trap};

use super::fixture::{Registry, assert_fault, fault, options, outcome_of, start, three};
use super::guest::{Guest, HONEST, Out};

#[test]
fn a_guest_that_loops_for_ever_is_stopped_at_its_deadline() {
    let spinning = Guest::new(&HONEST).process("(loop $again (br $again)) unreachable").build();
    let options = PrepareOptions { call: Duration::from_millis(50), ..options() };
    let mut running = start(&spinning, &options).expect("it opens");
    for _ in 0..2 {
        let begun = Instant::now();
        assert_fault(running.call(&three()), Deadline, "longer than 50ms");
        assert!(begun.elapsed() >= Duration::from_millis(50), "never before its time");
    }
}

#[test]
fn a_guest_that_loops_in_open_is_stopped_too() {
    let spinning = Guest::new(&HONEST).open("(loop $again (br $again)) unreachable").process("unreachable").build();
    let options = PrepareOptions { call: Duration::from_millis(50), ..options() };
    assert_fault(start(&spinning, &options).map(|_| ()), Deadline, "longer than 50ms");
}

#[test]
fn a_guest_that_allocates_without_end_is_stopped_at_its_limit() {
    let greedy = Guest::new(&HONEST)
        .process("(loop $again (br_if $again (i32.ne (i32.const -1) (memory.grow (i32.const 16))))) unreachable")
        .build();
    assert_fault(outcome_of(&greedy), Memory, "its 16 MiB of memory");
}

#[test]
fn a_guest_that_does_not_fit_at_all_is_told_when_it_opens() {
    let honest = Guest::new(&HONEST).process("unreachable").build();
    let options = PrepareOptions { memory_bytes: 1 << 20, ..options() };
    assert_fault(start(&honest, &options).map(|_| ()), Memory, "its 1 MiB of memory");
}

#[test]
fn a_guest_that_overflows_its_stack_is_stopped() {
    let deep = Guest::new(&HONEST)
        .process("(drop (call $process (local.get $events))) (call $process (local.get $events))")
        .build();
    let fault = fault(outcome_of(&deep));
    assert_eq!((fault.kind, fault.message.as_str()), (Trap, "the guest's stack overflowed"));
    assert!((1..=32).contains(&fault.backtrace.len()), "a bounded backtrace");
}

#[test]
fn a_fault_tells_where_in_the_guest_it_happened() {
    let trapping = Guest::new(&HONEST).process("unreachable").build();
    let fault = fault(outcome_of(&trapping));
    assert!(fault.backtrace[0].starts_with("process + 0x"), "{:?}", fault.backtrace);
}

// Rule 6.
#[test]
fn a_gigabyte_of_output_is_stopped_before_the_host_takes_it() {
    let mut guest = Guest::new(&HONEST);
    let [ends, _] = guest.image.words(&[1 << 29]);
    let [rows, _] = guest.image.words(&[0]);
    let emission = guest.image.put(&super::guest::le(&[0, 2, rows, 1, ends, 1, 0, 1 << 29, 0, 0, 0, 0, 0, 0, 0, 0]));
    let outcome = guest.image.put(&super::guest::le(&[0, emission, 1, 0, 0]));
    let body = format!("(drop (memory.grow (i32.const 8192))) (i32.const {outcome})");
    let options = PrepareOptions { memory_bytes: 1 << 30, ..options() };
    let mut running = start(&guest.process(&body).build(), &options).expect("it opens");
    assert_fault(running.call(&three()), OutputLimit, "more than 1 MiB");
}

#[test]
fn a_flood_of_log_lines_is_cut_off_and_counted() {
    let mut guest = Guest::new(&HONEST);
    let line = guest.image.put(&[b'x'; 100]);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let body = format!(
        "(local $left i32) (local.set $left (i32.const 1000)) (loop $again \
         (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {line}) (i32.const 100)) \
         (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))) (i32.const {at})"
    );
    let options = PrepareOptions { log_bytes: 1010, ..options() };
    let mut running = start(&guest.process(&body).build(), &options).expect("it opens");
    running.call(&three()).expect("the call succeeds all the same");
    assert_eq!(running.heard.texts().len(), 10);
    running.clock.advance(Duration::from_secs(1));
    running.call(&three()).expect("an outcome");
    assert_eq!(*running.heard.dropped.lock().expect("no panic"), 990);
}

#[test]
fn a_deadline_holds_for_the_guest_and_not_for_its_neighbours() {
    let spinning = Guest::new(&HONEST).process("(loop $again (br $again)) unreachable").build();
    let registry = Registry::new();
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let honest = guest.process(&format!("(i32.const {at})")).build();
    let options = PrepareOptions { call: Duration::from_millis(200), ..options() };
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| start(&spinning, &options).expect("it opens").call(&three()).map(|_| ()));
        assert!(registry.admit(&honest).is_ok());
        let mut running = start(&honest, &options).expect("it opens");
        (0..1000).for_each(|_| assert!(running.call(&three()).is_ok()));
        assert_fault(busy.join().expect("no panic"), Deadline, "longer than 200ms");
    });
}
