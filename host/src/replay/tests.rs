//! What cannot be replayed is told in a sentence. That what can be is, is shown by the tests of the whole program.

use std::num::NonZeroU32;
use std::time::Duration;

use gristmill_checkpoint::framed;
use gristmill_ports::crash::CallRecord;
use gristmill_ports::operator::{InstanceLimits, InstanceRecord};
use gristmill_types::failure::{FaultKind, GuestFault};
use gristmill_types::{Descriptor, EventBatch, InputIndex, MaxParallelism, Parallelism, RunId, SubtaskIndex};

use super::*;

fn bundle() -> CrashBundle {
    let mut events = EventBatch::default();
    events.push(1, None, Some(b"poison"));
    CrashBundle {
        job: "orders".parse().expect("an id"),
        run: RunId(1),
        operator: "parse".parse().expect("an id"),
        module: hash_of(b"no module"),
        at_ms: 1,
        fault: GuestFault { kind: FaultKind::Trap, message: "it gave up".to_owned(), backtrace: Vec::new() },
        instance: InstanceRecord {
            subtask: SubtaskIndex(0),
            parallelism: Parallelism(NonZeroU32::MIN),
            max_parallelism: MaxParallelism::DEFAULT,
            keys_in_place: true,
            parameters: "{}".to_owned(),
            seed: 1,
            opened_ms: 0,
            calls: 0,
            limits: InstanceLimits {
                memory_bytes: 16 << 20,
                call: Duration::from_secs(1),
                output_bytes: 1 << 20,
                log_bytes: 1 << 10,
            },
            descriptor: Descriptor::default(),
        },
        call: CallRecord { watermark_ms: 0, processing_time_ms: 0, state_generation: 0 },
        input: InputIndex(0),
        events: events.hashed(),
        states: Vec::new(),
        left_out: Vec::new(),
        code: Some(b"no module".to_vec()),
    }
}

/// Why a file cannot be replayed.
fn refused(file: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = folder.path().join("it.crash");
    std::fs::write(&bundle, file).expect("written");
    let options = ReplayOptions { bundle, module: None, cache: Some(folder.path().to_owned()) };
    replay(&options).map(|_| ()).expect_err("it cannot be replayed").to_string()
}

#[test]
fn a_file_that_is_no_whole_bundle_is_refused_with_what_is_wrong() {
    let file = bundle().encode();
    assert!(refused(&file[..file.len() / 2]).contains("cut off"));
    assert!(refused(b"job: orders").contains("it.crash` is no crash bundle to be used"));
    let newer = framed::encode(*b"GMCR", 9, &7_u64);
    assert!(refused(&newer).contains("format version 9; this host reads up to version 1"));
}

#[test]
fn a_bundle_that_lacks_what_the_call_needs_is_refused_with_what_to_do() {
    let without = CrashBundle { code: None, ..bundle() };
    let why = refused(&without.encode());
    assert!(why.contains("holds no module") && why.contains("--module"), "{why}");
    let other = CrashBundle { code: Some(b"another".to_vec()), ..bundle() };
    assert!(refused(&other.encode()).contains("holds another module than it says"));
    assert!(refused(&bundle().encode()).contains("the module cannot be used"));
    let mut secret = bundle();
    secret.instance.parameters = r#"{"token": "${env:GRISTMILL_TEST_IS_NOT_SET}"}"#.to_owned();
    let why = refused(&secret.encode());
    assert!(why.contains("`GRISTMILL_TEST_IS_NOT_SET` is not set") && why.contains("give the command"), "{why}");
}
