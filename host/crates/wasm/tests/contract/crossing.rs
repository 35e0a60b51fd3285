//! What crosses into a guest and back: the batch, null and empty, whole or sliced; and the facts of the call.

use gristmill_ports::operator::Call;
use gristmill_types::failure::FaultKind::Trap;
use gristmill_types::*;

use super::fixture::{Running, assert_fault, options, start, three};
use super::guest::{Guest, HONEST, Out, Said, le};

/// Where the arguments of `process` lie behind `$events`: the call and the input, then the columns of the batch.
const CALL_BYTES: u32 = 28;
const COLUMNS_BYTES: u32 = 56;

/// A guest that gives back the batch that it got, column by column, as events of its own making.
fn echo(outputs: &[(&str, bool)]) -> Running {
    let mut guest = Guest::new(&Said { outputs, ..HONEST });
    let emission = guest.image.put(&le(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    let outcome = guest.image.put(&le(&[0, emission, 1, 0, 0]));
    let body = format!(
        "(memory.copy (i32.const {}) (i32.add (local.get $events) (i32.const {CALL_BYTES})) (i32.const {COLUMNS_BYTES})) \
         (i32.const {outcome})",
        emission + 8
    );
    start(&guest.process(&body).build(), &options()).expect("it opens")
}

fn echoed(events: &EventBatch) -> EventBatch {
    let outcome = echo(&[("out", false)]).call(events).expect("an outcome");
    match <[Emission; 1]>::try_from(outcome.emissions).expect("one emission") {
        [Emission { rows: Rows::Created(batch), .. }] => batch,
        [other] => panic!("not created: {other:?}"),
    }
}

/// Every mix of null, empty and full, in keys and values.
fn mixed() -> EventBatch {
    let all = [None, Some(&b""[..]), Some(b"full")];
    let mut batch = EventBatch::default();
    for (time, (key, value)) in (-4..).zip(all.iter().flat_map(|key| all.iter().map(move |value| (*key, *value)))) {
        batch.push(time, key, value);
    }
    batch
}

// Rule 12.
#[test]
fn null_is_not_empty_on_the_way_in_and_on_the_way_out() {
    assert_eq!(echoed(&mixed()), mixed());
}

// Rule 10. The ends of a slice begin anew, and so do the numbers of its nulls.
#[test]
fn a_slice_crosses_as_a_batch_of_its_own() {
    let whole = mixed();
    for from in 0..whole.len() {
        for until in from + 1..=whole.len() {
            let slice = whole.slice(from..until);
            assert_eq!(echoed(&slice), slice, "rows {from}..{until}");
            assert_eq!(slice.values().ends().last().copied().unwrap_or(0) as usize, slice.values().data().len());
        }
    }
}

// Rule 16. A guest learns from the generation that what it remembers of its state is void.
#[test]
fn a_guest_is_told_the_facts_of_its_call() {
    let two = Said { inputs: &["in", "other"], ..HONEST };
    let mut guest = Guest::new(&two);
    let [rows, _] = guest.image.words(&[0]);
    let [ends, _] = guest.image.words(&[CALL_BYTES]);
    let emission = guest.image.put(&le(&[0, 2, rows, 1, ends, 1, 0, CALL_BYTES, 0, 0, 0, 0, 0, 0, 0, 0]));
    let outcome = guest.image.put(&le(&[0, emission, 1, 0, 0]));
    let body = format!("(i32.store (i32.const {}) (local.get $events)) (i32.const {outcome})", emission + 24);
    let mut running = start(&guest.process(&body).build(), &options()).expect("it opens");

    for (watermark, processing_time_ms, state_generation, input) in
        [(i64::MIN, 0, 0, 0), (-1, 1_700_000_000_123, 41, 1), (i64::MAX, i64::MAX, u64::MAX, 0)]
    {
        let call = Call { watermark: Watermark(watermark), processing_time_ms, state_generation };
        let outcome = running.call_as(&call, InputIndex(input), &three()).expect("an outcome");
        let Rows::Mapped { values, .. } = &outcome.emissions[0].rows else { panic!("not mapped: {outcome:?}") };
        let expected = [
            &watermark.to_le_bytes()[..],
            &processing_time_ms.to_le_bytes(),
            &state_generation.to_le_bytes(),
            &input.to_le_bytes(),
        ];
        assert_eq!(values.get(0), Some(&expected.concat()[..]));
    }
}

// Rule 14.
#[test]
fn an_output_may_be_earlier_than_the_watermark() {
    let mut early = EventBatch::default();
    early.push(i64::MIN, Some(b"a"), None);
    early.push(-1, Some(b"a"), None);
    let call = Call { watermark: Watermark(5), processing_time_ms: 0, state_generation: 0 };
    let outcome = echo(&[("out", true)]).call_as(&call, InputIndex(0), &early.clone().hashed()).expect("an outcome");
    assert_eq!(outcome.emissions[0].rows, Rows::Created(early.hashed()), "the times are the guest's own");
}

// Rule 14. Without hashes nothing downstream can take the rows for keyed.
#[test]
fn what_is_created_for_a_port_that_does_not_keep_keys_is_un_keyed() {
    for (keeps_key, hashes) in [(true, 3), (false, 0)] {
        let outcome = echo(&[("out", keeps_key)]).call(&three()).expect("an outcome");
        let Rows::Created(batch) = &outcome.emissions[0].rows else { panic!("not created: {outcome:?}") };
        assert_eq!((batch.len(), batch.key_hashes().len()), (3, hashes), "keeps-key: {keeps_key}");
    }
}

// Rule 9. The call is over only when the guest has taken its result back; what it returned before does not count.
#[test]
fn a_trap_after_the_result_was_read_undoes_the_call() {
    let mut guest = Guest::new(&HONEST);
    let [rows, _] = guest.image.words(&[0]);
    let [ends, count] = guest.image.words(&[4]);
    let value = guest.image.put(b"kept");
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let put = format!(
        "(call $put (i32.const 0) (i32.const {rows}) (i32.const 1) (i32.const {ends}) (i32.const {count}) \
         (i32.const {value}) (i32.const 4) (i32.const 0) (i32.const 0))"
    );
    let body = format!("{put} (call $add (i32.const 0) (i64.const 1)) (i32.const {at})");
    let mut running = start(&guest.process(&body).post_return("unreachable").build(), &options()).expect("it opens");
    assert_fault(running.call(&three()), Trap, "gave up");
    assert_eq!(running.kept_for_row_0(&three()), None);
}
