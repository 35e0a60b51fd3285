//! What `process` returns is believed only as far as the contract goes.

use gristmill_types::failure::FaultKind::{InvalidResult, OutputLimit};
use gristmill_types::{CallFailure, Column, Emission, EventBatch, Outcome, PortIndex, Rejection, Rows};

use super::fixture::{assert_fault, options, outcome_of, start, three};
use super::guest::{Guest, HONEST, Image, Out, Said};

/// A guest that returns what is laid out.
fn returning(lay_out: impl FnOnce(&mut Image) -> u32) -> Vec<u8> {
    saying(&HONEST, lay_out)
}

fn saying(said: &Said<'_>, lay_out: impl FnOnce(&mut Image) -> u32) -> Vec<u8> {
    let mut guest = Guest::new(said);
    let at = lay_out(&mut guest.image);
    guest.process(&format!("(i32.const {at})")).build()
}

fn emitting(rows: &Out<'_>) -> Result<Outcome, CallFailure> {
    let laid_out = |image: &mut Image| match rows {
        Out::All => image.outcome(&[(0, Out::All)], &[]),
        Out::Selected(rows) => image.outcome(&[(0, Out::Selected(rows))], &[]),
        Out::Mapped(rows, ends, data, nulls) => image.outcome(&[(0, Out::Mapped(rows, ends, data, nulls))], &[]),
        Out::Created(times, keys, values) => image.outcome(&[(0, Out::Created(times, keys, values))], &[]),
    };
    outcome_of(&returning(laid_out))
}

#[test]
fn every_shape_of_output_arrives() {
    let mapped = Out::Mapped(&[2, 0, 0], &[1, 1, 3], b"xyz", &[1]);
    let created = Out::Created(&[9], &[Some("a")], &[None]);
    let outcome = outcome_of(&returning(|image| {
        image.outcome(&[(0, Out::All), (0, Out::Selected(&[0, 2])), (0, mapped), (0, created)], &[])
    }))
    .expect("an outcome");
    let mut event = EventBatch::default();
    event.push(9, Some(b"a"), None);
    let expected = [
        Rows::All,
        Rows::Selected(vec![0, 2]),
        Rows::Mapped { rows: vec![2, 0, 0], values: Column::from_iter([Some(&b"x"[..]), None, Some(b"yz")]) },
        Rows::Created(event.hashed()),
    ];
    let expected: Vec<Emission> = expected.map(|rows| Emission { port: PortIndex(0), rows }).into();
    assert_eq!(outcome.emissions, expected);
}

// Rule 15. Across ports nothing is promised; the host keeps what it got.
#[test]
fn what_leaves_by_a_port_keeps_its_order() {
    let two = Said { outputs: &[("out", true), ("other", true)], ..HONEST };
    let interleaved: [(u32, &[u32]); 5] = [(1, &[2]), (0, &[1]), (1, &[0]), (0, &[0, 2]), (1, &[1])];
    let emissions = interleaved.map(|(port, rows)| (port, Out::Selected(rows)));
    let outcome = outcome_of(&saying(&two, |image| image.outcome(&emissions, &[]))).expect("an outcome");
    let by = |port| {
        let of_port = outcome.emissions.iter().filter(move |emission| emission.port == PortIndex(port));
        of_port.map(|emission| emission.rows.clone()).collect::<Vec<_>>()
    };
    assert_eq!(by(0), [Rows::Selected(vec![1]), Rows::Selected(vec![0, 2])]);
    assert_eq!(by(1), [Rows::Selected(vec![2]), Rows::Selected(vec![0]), Rows::Selected(vec![1])]);
}

// Rule 7.
#[test]
fn selected_rows_ascend_strictly_and_exist() {
    assert_fault(emitting(&Out::Selected(&[1, 1])), InvalidResult, "not strictly ascending at its place 1");
    assert_fault(emitting(&Out::Selected(&[2, 0])), InvalidResult, "not strictly ascending");
    assert_fault(emitting(&Out::Selected(&[0, 3])), InvalidResult, "names row 3, but the batch has 3");
    assert!(emitting(&Out::Selected(&[])).is_ok());
}

#[test]
fn mapped_rows_exist_and_have_one_value_each() {
    assert_fault(emitting(&Out::Mapped(&[3], &[0], b"", &[])), InvalidResult, "names row 3");
    assert_fault(emitting(&Out::Mapped(&[0, 1], &[0], b"", &[])), InvalidResult, "2 rows with 1 values");
}

// Rule 10.
#[test]
fn columns_are_checked_before_they_are_read() {
    assert_fault(emitting(&Out::Mapped(&[0, 1], &[2, 1], b"x", &[])), InvalidResult, "`ends` goes back from 2 to 1");
    assert_fault(emitting(&Out::Mapped(&[0], &[9], b"x", &[])), InvalidResult, "the last of `ends` is 9");
    assert_fault(emitting(&Out::Mapped(&[0], &[1], b"x", &[0])), InvalidResult, "null but has bytes");
    assert_fault(emitting(&Out::Mapped(&[0], &[0], b"", &[4])), InvalidResult, "`nulls` names row 4");
    assert_fault(emitting(&Out::Created(&[1, 2], &[None], &[None])), InvalidResult, "2 timestamps, 1 keys");
}

// Rule 14. Key `a` has group 31 of 128: it belongs to subtask 0 of 2; the empty key has group 66.
#[test]
fn created_keys_of_a_port_that_keeps_keys_belong_to_the_subtask() {
    assert!(emitting(&Out::Created(&[1], &[Some("a")], &[None])).is_ok());
    assert_fault(emitting(&Out::Created(&[1], &[Some("")], &[None])), InvalidResult, "a key of another subtask");
    assert_fault(emitting(&Out::Created(&[1], &[None], &[None])), InvalidResult, "has no key");

    let free = Said { outputs: &[("out", false)], ..HONEST };
    let stranger = |image: &mut Image| image.outcome(&[(0, Out::Created(&[1], &[Some("")], &[None]))], &[]);
    assert!(outcome_of(&saying(&free, stranger)).is_ok(), "without `keeps-key` any key will do");
}

// Rule 17.
#[test]
fn a_rejected_row_is_refused_alone_and_leaves_no_output() {
    let rejecting = |emitted: Out<'_>| {
        outcome_of(&returning(|image| image.outcome(&[(0, emitted)], &[(1, "no value"), (0, "too old")])))
    };
    let outcome = rejecting(Out::Selected(&[2])).expect("an outcome");
    let rejection = |row, reason: &str| Rejection { row, reason: reason.to_owned() };
    assert_eq!(outcome.rejections, [rejection(0, "too old"), rejection(1, "no value")], "in the order of rows");
    for both in [Out::All, Out::Selected(&[0, 2]), Out::Mapped(&[2, 1], &[0, 0], b"", &[])] {
        assert_fault(rejecting(both), InvalidResult, "both rejected and emitted to port 0");
    }
    let rejected = |rows: &[(u32, &str)]| outcome_of(&returning(|image| image.outcome(&[], rows)));
    assert_fault(rejected(&[(3, "")]), InvalidResult, "`rejections` names row 3");
    assert_fault(rejected(&[(1, ""), (1, "")]), InvalidResult, "row 1 is rejected twice");
}

#[test]
fn an_undeclared_port_is_a_fault() {
    let guest = returning(|image| image.outcome(&[(1, Out::All)], &[]));
    assert_fault(outcome_of(&guest), InvalidResult, "output port 1 is not declared; the descriptor declares 1");
}

// Rule 17.
#[test]
fn what_a_guest_says_of_a_failure_arrives() {
    let failing = |kind| outcome_of(&returning(|image| image.failure(kind, "why")));
    assert_eq!(failing(0), Err(CallFailure::BadRecord("why".to_owned())));
    assert_eq!(failing(1), Err(CallFailure::Transient("why".to_owned())));
    assert_eq!(failing(2), Err(CallFailure::Fatal("why".to_owned())));
}

// Rule 6.
#[test]
fn one_list_aliased_a_thousand_times_is_over_the_output_limit() {
    let mut guest = Guest::new(&HONEST);
    let [rows, count] = guest.image.words(&(0..3).collect::<Vec<_>>());
    let data = guest.image.put(&[b'x'; 4096]);
    let [ends, _] = guest.image.words(&[0, 0, 4096]);
    let one = [0, 2, rows, count, ends, 3, data, 4096, 0, 0, 0, 0, 0, 0, 0, 0];
    let emissions = guest.image.put(&super::guest::le(&one.repeat(1000)));
    let at = guest.image.put(&super::guest::le(&[0, emissions, 1000, 0, 0]));
    let bomb = guest.process(&format!("(i32.const {at})")).build();
    assert_fault(outcome_of(&bomb), OutputLimit, "more than 1 MiB");
}

// Rule 7.
#[test]
fn rows_that_expand_beyond_the_output_limit_are_a_fault_before_they_are_gathered() {
    let mut large = EventBatch::default();
    large.push(1, Some(b"a"), Some(&[b'x'; 100_000]));
    for (name, rows) in [("all", Out::All), ("selected", Out::Selected(&[0]))] {
        let emissions: Vec<(u32, Out<'_>)> =
            (0..20).map(|_| (0, if matches!(rows, Out::All) { Out::All } else { Out::Selected(&[0]) })).collect();
        let guest = returning(|image| image.outcome(&emissions, &[]));
        let mut running = start(&guest, &options()).expect("it opens");
        assert_fault(running.call(&large), OutputLimit, "more than 1 MiB");
        assert!(running.call(&three()).is_ok(), "{name}: small rows may go out as often");
    }
}

#[test]
fn an_address_outside_of_memory_is_a_fault() {
    let wild = Guest::new(&HONEST).process("(i32.const -16)").build();
    assert!(matches!(outcome_of(&wild), Err(CallFailure::Fault(_))));
    let mut guest = Guest::new(&HONEST);
    let at = guest.image.put(&super::guest::le(&[0, 0x7fff_fff0, 100, 0, 0]));
    let wild_list = guest.process(&format!("(i32.const {at})")).build();
    assert_fault(outcome_of(&wild_list), InvalidResult, "");
}
