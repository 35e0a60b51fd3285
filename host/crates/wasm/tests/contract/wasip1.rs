//! Modules built for `wasip1` find an empty world.

use gristmill_ports::module_registry::{ModuleForm, ModuleRegistry};
use gristmill_ports::telemetry::LogLevel;
use gristmill_types::failure::FaultKind::{InvalidResult, Trap};
use gristmill_types::{Column, Rows};

use super::fixture::{Registry, assert_fault, options, start, three};
use super::guest::{Guest, HONEST, Out, le};

const WASI: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
"#;

/// A guest that does something and then emits the 32 bytes at `seen` as the value of row 0.
fn seeing(act: impl FnOnce(&mut Guest, u32) -> String) -> Vec<u8> {
    let mut guest = Guest::new(&HONEST).importing(WASI);
    let seen = guest.image.put(&[0; 32]);
    let act = act(&mut guest, seen);
    let [rows, _] = guest.image.words(&[0]);
    let [ends, _] = guest.image.words(&[32]);
    let emission = guest.image.put(&le(&[0, 2, rows, 1, ends, 1, seen, 32, 0, 0, 0, 0, 0, 0, 0, 0]));
    let outcome = guest.image.put(&le(&[0, emission, 1, 0, 0]));
    guest.process(&format!("{act} (i32.const {outcome})")).build()
}

/// What such a guest saw in each of two calls.
fn seen_twice(act: impl FnOnce(&mut Guest, u32) -> String) -> [Vec<u8>; 2] {
    let mut running = start(&seeing(act), &options()).expect("it opens");
    [(), ()].map(|()| match running.call(&three()).expect("an outcome").emissions.remove(0).rows {
        Rows::Mapped { values, .. } => Column::bytes_of(&values, 0).to_vec(),
        other => panic!("not mapped: {other:?}"),
    })
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[8 * at..8 * at + 8].try_into().expect("eight bytes"))
}

// Rule 3.
#[test]
fn a_wasip1_module_is_admitted_into_an_empty_world() {
    let bytes = seeing(|_, seen| format!("(drop (call $environ (i32.const {seen}) (i32.const {seen})))"));
    let admission = Registry::new().modules.admit(&bytes).expect("admitted");
    assert_eq!(admission.form, ModuleForm::Wasip1Module);
    let wasi = admission.imports.iter().filter(|note| note.interface.starts_with("wasi:"));
    assert!(wasi.clone().count() > 0 && wasi.clone().all(|note| note.given.starts_with("an empty world")));
}

// Rule 3.
#[test]
fn there_are_no_files_no_environment_and_no_input() {
    let [seen, _] = seen_twice(|guest, seen| {
        let [buffer, length] = guest.image.bytes(&[0; 16]);
        let iov = guest.image.put(&le(&[buffer, length]));
        format!(
            "(drop (call $environ (i32.const {seen}) (i32.const {})))
             (i32.store (i32.const {}) (call $prestat (i32.const 3) (i32.const {buffer})))
             (drop (call $fd_read (i32.const 0) (i32.const {iov}) (i32.const 1) (i32.const {})))",
            seen + 4,
            seen + 8,
            seen + 16
        )
    });
    const BAD_DESCRIPTOR: u64 = 8;
    assert_eq!(word(&seen, 0), 0, "no variables of the environment");
    assert_eq!(word(&seen, 1), BAD_DESCRIPTOR, "no directory is open");
    assert_eq!(word(&seen, 2), 0, "stdin is at its end");
}

// Rule 3.
#[test]
fn what_is_printed_becomes_lines_of_the_log() {
    let bytes = seeing(|guest, seen| {
        let [text, length] = guest.image.bytes(b"one\ntwo\nth");
        let first = guest.image.put(&le(&[text, length]));
        let [text, length] = guest.image.bytes(b"ree\n");
        let second = guest.image.put(&le(&[text, length]));
        format!(
            "(drop (call $fd_write (i32.const 1) (i32.const {first}) (i32.const 1) (i32.const {seen})))
             (drop (call $fd_write (i32.const 1) (i32.const {second}) (i32.const 1) (i32.const {seen})))
             (drop (call $fd_write (i32.const 2) (i32.const {first}) (i32.const 1) (i32.const {seen})))"
        )
    });
    let mut running = start(&bytes, &options()).expect("it opens");
    running.call(&three()).expect("an outcome");
    let line = |level, text: &str| (level, None, text.to_owned());
    let (out, err) = (LogLevel::Info, LogLevel::Warn);
    assert_eq!(
        *running.heard.lines.lock().expect("no panic"),
        [line(out, "one"), line(out, "two"), line(out, "three"), line(err, "one"), line(err, "two")]
    );
}

// Rule 18.
#[test]
fn time_stands_still_within_a_call() {
    let read = |clock: u32, at: u32| format!("(drop (call $clock (i32.const {clock}) (i64.const 1) (i32.const {at})))");
    let seen = seen_twice(|_, seen| (0..4).map(|n| read(u32::from(n > 1), seen + 8 * n)).collect());
    for seen in &seen {
        assert_eq!([word(seen, 0), word(seen, 1)], [1_000_000_000; 2], "the processing time, one second");
        assert!(word(seen, 2) < word(seen, 3), "the monotonic clock steps");
    }
    assert!(word(&seen[0], 3) < word(&seen[1], 2), "and does not go back");
}

// Rule 18.
#[test]
fn a_guest_that_sleeps_an_hour_comes_to_an_end_at_once() {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let begun = std::time::Instant::now();
    let [seen, _] = seen_twice(|guest, seen| {
        // A subscription to the monotonic clock: user data, tag 0, clock 1, a relative time-out.
        let hour = [HOUR_NS as u32, (HOUR_NS >> 32) as u32];
        let subscription = guest.image.put(&le(&[0, 0, 0, 0, 1, 0, hour[0], hour[1], 0, 0, 0, 0]));
        let events = guest.image.put(&[0; 32]);
        format!(
            "(drop (call $clock (i32.const 1) (i64.const 1) (i32.const {seen})))
             (i32.store (i32.const {}) (call $poll (i32.const {subscription}) (i32.const {events}) (i32.const 1) (i32.const {events})))
             (drop (call $clock (i32.const 1) (i64.const 1) (i32.const {})))",
            seen + 16,
            seen + 8
        )
    });
    assert_eq!(word(&seen, 2), 0, "the sleep succeeds");
    assert!(word(&seen, 1) - word(&seen, 0) >= HOUR_NS, "and an hour has passed for the guest");
    assert!(begun.elapsed().as_secs() < 60);
}

// Rule 18.
#[test]
fn random_numbers_come_from_the_seed() {
    let random = || seen_twice(|_, seen| format!("(drop (call $random (i32.const {seen}) (i32.const 32)))"));
    let (first, second) = (random(), random());
    assert_eq!(first, second, "the same seed, the same numbers");
    assert_ne!(first[0], first[1], "but not the same again and again");
    assert_ne!(first[0], [0; 32]);
}

#[test]
fn resources_of_the_host_are_bounded() {
    let polling = |subscriptions: usize| {
        seeing(|guest, seen| {
            // Subscriptions to the monotonic clock: user data, tag 0, clock 1, a relative time-out of nothing.
            let all = guest.image.put(&le(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(subscriptions)));
            let events = guest.image.put(&vec![0; 32 * subscriptions]);
            format!(
                "(i32.store (i32.const {seen}) (call $poll (i32.const {all}) (i32.const {events}) \
                 (i32.const {subscriptions}) (i32.const {seen})))"
            )
        })
    };
    start(&polling(1000), &options()).expect("it opens").call(&three()).expect("a thousand are served");
    assert_fault(start(&polling(5000), &options()).expect("it opens").call(&three()), InvalidResult, "no free keys");
}

#[test]
fn a_guest_that_exits_is_a_fault() {
    let mut guest = Guest::new(&HONEST).importing(WASI);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let bytes = guest.process(&format!("(call $exit (i32.const 3)) (i32.const {at})")).build();
    let mut running = start(&bytes, &options()).expect("it opens");
    assert_fault(running.call(&three()), Trap, "ended itself with exit code");
}
