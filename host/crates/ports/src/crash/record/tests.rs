//! The file of a bundle: read back as it was written, and told apart from what is none.
//!
//! `tests/fixtures/crashes/v1.crash` is read for ever, and written as it was.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroU32;
use std::time::Duration;

use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::failure::FaultKind;
use gristmill_types::{Descriptor, MaxParallelism, Parallelism, SubtaskIndex};

use super::*;
use crate::crash::EntryBefore;
use crate::operator::InstanceLimits;

const GOLDEN: &[u8] = include_bytes!("../../../../../../tests/fixtures/crashes/v1.crash");

fn instance() -> InstanceRecord {
    let parallelism = Parallelism(NonZeroU32::new(2).unwrap());
    InstanceRecord {
        subtask: SubtaskIndex(1),
        parallelism,
        max_parallelism: MaxParallelism::DEFAULT,
        keys_in_place: true,
        parameters: "{\"limit\":3}".to_owned(),
        seed: 0xfedc_ba98_7654_3210,
        opened_ms: 1_767_225_600_122,
        calls: 0,
        limits: InstanceLimits {
            memory_bytes: 64 << 20,
            call: Duration::from_millis(1_500),
            output_bytes: 1 << 20,
            log_bytes: 4_096,
        },
        descriptor: Descriptor {
            states: vec![StateSpec {
                name: "counts".to_owned(),
                kind: StateKind::OrderedMap,
                scope: StateScope::Keyed,
                version: 3,
                ttl_ms: Some(60_000),
                ttl_clock: ClockKind::EventTime,
            }],
            ..Descriptor::default()
        },
    }
}

fn bundle() -> CrashBundle {
    let mut events = EventBatch::default();
    events.push(-1, Some(b"k"), Some(b"poison \xff"));
    events.push(2, None, None);
    let entry = EntryBefore { key: b"k".to_vec(), map_key: Some(b"m".to_vec()), value: vec![0, 255] };
    CrashBundle {
        job: "orders".parse().unwrap(),
        run: RunId(7),
        operator: "parse".parse().unwrap(),
        module: ModuleHash([9; 32]),
        at_ms: 1_767_225_600_123,
        fault: GuestFault {
            kind: FaultKind::Trap,
            message: "the guest gave up".to_owned(),
            backtrace: vec!["parse at parse.rs:3".to_owned()],
        },
        instance: instance(),
        call: CallRecord { watermark_ms: i64::MIN, processing_time_ms: 1_767_225_600_123, state_generation: 4 },
        input: InputIndex(0),
        events: events.hashed(),
        states: vec![StateBefore {
            state: "counts".to_owned(),
            kind: StateKind::OrderedMap,
            version: 3,
            entries: vec![entry],
        }],
        left_out: vec!["the rest".to_owned()],
        code: Some(b"\0asm".to_vec()),
    }
}

#[test]
fn a_bundle_of_version_1_is_read_for_ever_and_written_as_it_was() {
    assert_eq!(CrashBundle::decode(GOLDEN), Ok(bundle()));
    assert_eq!(bundle().encode(), GOLDEN);
}

#[test]
fn what_is_no_whole_bundle_is_refused_with_a_sentence() {
    let file = bundle().encode();
    let why = |file: &[u8]| CrashBundle::decode(file).unwrap_err().to_string();
    assert!(why(&file[..file.len() - 9]).contains("cut off"), "{}", why(&file[..file.len() - 9]));
    let mut flipped = file;
    flipped[60] ^= 1;
    assert!(why(&flipped).contains("checksum"));
    assert!(why(b"version: 1\njob: orders\nsources: {in: {from: {http: {}}}}").contains("does not begin"));
    let newer = framed::encode(MAGIC, VERSION + 1, &"of another shape");
    assert!(why(&newer).contains("format version 2; this host reads up to version 1"), "{}", why(&newer));
}

/// Whoever edits a file can also make its checksum fit.
#[test]
fn an_edited_bundle_that_makes_no_sense_is_refused_with_a_sentence() {
    let edited = |edit: &dyn Fn(&mut CrashBundle)| {
        let mut bundle = bundle();
        edit(&mut bundle);
        CrashBundle::decode(&bundle.encode()).unwrap_err().to_string()
    };
    assert!(edited(&|bundle| bundle.events = EventBatch::default()).contains("no event"));
    assert!(edited(&|bundle| bundle.instance.subtask = SubtaskIndex(2)).contains("subtask 2 of 2"));
    // A column whose end lies behind its data.
    let column: Column = serde_json::from_str(r#"{"ends":[1,9],"data":[1,2],"nulls":[]}"#).unwrap();
    let why = edited(&|bundle| bundle.events = EventBatch::new(vec![1, 2], column.clone(), column.clone()).unwrap());
    assert!(why.contains("its content cannot be read"), "{why}");
}
