//! Deadlines that bind whatever the host does meanwhile, jobs that are over, instances that are not repeated, and what
//! stays on disk.

use std::time::{Duration, Instant};

use gristmill_ports::module_registry::{ModuleRegistry, PrepareOptions};
use gristmill_types::failure::FaultKind::{Deadline, Memory, OutputLimit, Trap};
use gristmill_types::{EventBatch, StateIndex};

use super::fixture::{NOW, Registry, Running, assert_fault, context, fault, options, outcome_of, start, three};
use super::guest::{Guest, HONEST, Out, Said, le};

#[test]
fn a_guest_ends_soon_after_its_job_whatever_its_deadline() {
    let spinning = Guest::new(&HONEST).process("(loop $again (br $again)) unreachable").build();
    let of_events = Guest::of_events().on_event("(loop $again (br $again)) unreachable").build();
    for guest in [spinning, of_events] {
        let options = PrepareOptions { call: Duration::from_secs(24 * 3600), ..options() };
        let mut running = start(&guest, &options).expect("it opens");
        let interrupt = running.interrupt.clone();
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| running.call(&three()));
            interrupt.raise();
            assert_fault(busy.join().expect("no panic"), Deadline, "the job is over");
        });
    }
}

#[test]
fn the_events_of_a_batch_share_one_deadline() {
    let mut guest = Guest::of_events();
    let ok = guest.image.put(&le(&[0, 0, 0, 0]));
    // Some milliseconds each.
    let body = format!(
        "(local $left i32) (local.set $left (i32.const 3000000)) (loop $again (br_if $again (local.tee $left \
         (i32.sub (local.get $left) (i32.const 1))))) (i32.const {ok})"
    );
    let options = PrepareOptions { call: Duration::from_millis(50), ..options() };
    let mut running = start(&guest.on_event(&body).build(), &options).expect("it opens");
    assert!(running.call(&three()).is_ok(), "each event alone is fast");
    let mut many = EventBatch::default();
    (0..100_000).for_each(|time| many.push(time, Some(b"a"), None));
    let begun = Instant::now();
    assert_fault(running.call(&many.hashed()), Deadline, "longer than 50ms");
    assert!(begun.elapsed() < Duration::from_secs(10), "not 100000 deadlines: {:?}", begun.elapsed());
}

#[test]
fn what_a_memory_may_not_grow_to_by_itself_is_not_booked() {
    // 17 pages and no more: `memory.grow` fails each time, though the limit of 16 MiB has room for it.
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let body = format!(
        "(local $left i32) (local.set $left (i32.const 1000)) (loop $again (drop (memory.grow (i32.const 65000))) \
         (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))) (i32.const {at})"
    );
    let mut running = start(&guest.process(&body).build(), &options()).expect("it opens");
    for _ in 0..3 {
        running.call(&three()).expect("to be denied is no fault");
    }
}

#[test]
fn a_trap_after_memory_was_denied_keeps_its_own_words() {
    let denied = "(drop (memory.grow (i32.const 60000)))";
    let dividing = Guest::new(&HONEST).process(&format!("{denied} (i32.div_u (i32.const 1) (i32.const 0))")).build();
    let fault = fault(outcome_of(&dividing));
    assert_eq!(fault.kind, Trap);
    assert!(fault.message.contains("divide by zero") && fault.message.contains("its 16 MiB of memory"), "{fault}");
    let giving_up = Guest::new(&HONEST).process(&format!("{denied} unreachable")).build();
    assert_fault(outcome_of(&giving_up), Memory, "it had been denied memory before");
}

/// A guest that emits eight random bytes for row 0, or traps if that row has no value.
fn rolling() -> Vec<u8> {
    let mut guest = Guest::new(&HONEST);
    let [rows, _] = guest.image.words(&[0]);
    let [ends, _] = guest.image.words(&[8]);
    let value = guest.image.put(&[0; 8]);
    let emission = guest.image.put(&le(&[0, 2, rows, 1, ends, 1, value, 8, 0, 0, 0, 0, 0, 0, 0, 0]));
    let outcome = guest.image.put(&le(&[0, emission, 1, 0, 0]));
    let body = format!(
        "(drop (call $random (i32.const {value}) (i32.const 8))) \
         (if (i64.eq (i64.const -1) (i64.load (local.get $events))) (then unreachable)) (i32.const {outcome})"
    );
    let import = r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    guest.importing(import).process(&body).build()
}

// Rule 18.
#[test]
fn a_new_instance_does_not_repeat_the_random_numbers_of_the_one_before() {
    let trapping_once = |watermark: i64| gristmill_ports::Call {
        watermark: gristmill_types::Watermark(watermark),
        processing_time_ms: 0,
        state_generation: 0,
    };
    let mut running = start(&rolling(), &options()).expect("it opens");
    let mut rolled = || {
        let outcome = running.call_as(&trapping_once(5), gristmill_types::InputIndex(0), &three()).expect("an outcome");
        assert!(running.call_as(&trapping_once(-1), gristmill_types::InputIndex(0), &three()).is_err(), "it traps");
        outcome.emissions
    };
    let (first, second, third) = (rolled(), rolled(), rolled());
    assert!(first != second && second != third && first != third, "{first:?} {second:?} {third:?}");
}

#[test]
fn an_instance_opened_by_the_record_of_another_draws_the_same_random_numbers() {
    let bytes = rolling();
    let mut running = start(&bytes, &options()).expect("it opens");
    let trapping =
        gristmill_ports::Call { watermark: gristmill_types::Watermark(-1), processing_time_ms: 0, state_generation: 0 };
    for traps in 0..3 {
        let rolled = running.call(&three()).expect("an outcome");
        let record = running.operator.record().expect("a guest can be opened again");
        assert_eq!((record.calls, record.opened_ms, record.parameters.as_str()), (0, 0, "{}"), "after {traps} traps");
        let context = gristmill_ports::OperatorContext { seed: record.seed, ..context_of(&running) };
        let registry = Registry::new();
        let prepared = registry.modules.prepare(&bytes, &options()).expect("it is admitted");
        let mut again = prepared.factory.open(context).expect("it opens");
        let call = gristmill_ports::Call { watermark: gristmill_types::Watermark(5), ..trapping };
        let rolled_again = again.process(&call, gristmill_types::InputIndex(0), &three(), &mut running.state);
        assert_eq!(rolled_again, Ok(rolled), "after {traps} traps");
        running.call(&three()).expect("an outcome");
        assert!(running.call_as(&trapping, gristmill_types::InputIndex(0), &three()).is_err(), "it traps");
        assert_eq!(running.operator.record().expect("a record").calls, 2, "it had two calls before that one");
    }
}

#[test]
fn a_record_has_the_parameters_as_they_were_written() {
    let bytes = rolling();
    let running = start(&bytes, &options()).expect("it opens");
    let written = r#"{"token":"${env:TOKEN}"}"#;
    let context =
        gristmill_ports::OperatorContext { written_parameters: Some(written.to_owned()), ..context_of(&running) };
    let registry = Registry::new();
    let prepared = registry.modules.prepare(&bytes, &options()).expect("it is admitted");
    let operator = prepared.factory.open(context).expect("it opens");
    assert_eq!(operator.record().expect("a record").parameters, written);
}

/// What a running operator was told when it opened.
fn context_of(running: &Running) -> gristmill_ports::OperatorContext {
    context("{}", &running.heard, &running.clock, &running.interrupt)
}

#[test]
fn what_does_not_fit_into_the_guest_is_not_read_for_it() {
    let mut guest = Guest::new(&HONEST);
    let [rows, _] = guest.image.words(&[0]);
    let get = format!("(call $get (i32.const 0) (i32.const {rows}) (i32.const 1) (i32.const 64)) unreachable");
    let mut running = start(&guest.process(&get).build(), &options()).expect("it opens");
    running.state.begin(&three(), NOW);
    let large = gristmill_types::Column::from_iter([Some(&vec![0; 17 << 20][..])]);
    running.state.put(StateIndex(0), &[0], &large).expect("put");
    running.state.commit().expect("memory commits");
    let fault = fault(running.call(&three()));
    assert!(fault.message.contains("state.get: the values of one read take more than"), "{fault}");
}

#[test]
fn a_million_writes_of_nothing_are_over_the_output_limit() {
    let body = "(loop $again (call $event-delete) (br $again)) unreachable";
    let mut running = start(&Guest::of_events().on_event(body).build(), &options()).expect("it opens");
    assert_fault(running.call(&three()), OutputLimit, "more than 1 MiB");
}

fn files(registry: &Registry) -> usize {
    std::fs::read_dir(registry.directory.path()).expect("listed").count()
}

#[test]
fn code_is_kept_for_admitted_modules_until_they_are_forgotten() {
    let registry = Registry::new();
    let refused = Guest::new(&Said { schema: r##"{"allOf": [{"$ref": "#"}]}"##, ..HONEST }).process("unreachable");
    assert_eq!(registry.admit(&refused.build()).expect_err("an endless schema").code, "bad-schema");
    assert_eq!(files(&registry), 0, "nothing is kept of what is refused");
    let admission = registry.admit(&Guest::new(&HONEST).process("unreachable").build()).expect("admitted");
    assert_eq!(files(&registry), 1);
    registry.modules.forget(admission.hash);
    assert_eq!(files(&registry), 0);
}

#[test]
fn each_call_has_a_deadline_of_its_own() {
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let options = PrepareOptions { call: Duration::from_millis(50), ..options() };
    let mut running = start(&guest.process(&format!("(i32.const {at})")).build(), &options).expect("it opens");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        running.call(&three()).expect("an instance may live longer than its deadline");
    }
}
