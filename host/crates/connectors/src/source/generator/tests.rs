use std::task::Waker;

use proptest::prelude::*;

use super::*;
use crate::fixture::{runtime, subtask as subtask_of};

fn bounds(max_rows: usize) -> ReadBounds {
    ReadBounds { max_rows, max_bytes: 1 << 20, now_ms: 0 }
}

fn open_one(spec: &SourceSpec, subtask: u32, parallelism: u32) -> Result<Box<dyn SourceReader>, PortError> {
    open_at(spec, subtask, parallelism, None)
}

fn open_at(
    spec: &SourceSpec,
    subtask: u32,
    parallelism: u32,
    resume: Option<&[SplitPosition]>,
) -> Result<Box<dyn SourceReader>, PortError> {
    let context = subtask_of("made", subtask, parallelism);
    let gristmill_dataflow::document::SourceKind::Generator(generator) = &spec.from else { panic!("a generator") };
    open(&context, spec, generator, resume, runtime())
}

fn spec(generator: &str) -> SourceSpec {
    serde_json::from_str(&format!(r#"{{"from": {{"generator": {generator}}}}}"#)).expect("a good source")
}

type Event = (i64, Option<Vec<u8>>, Vec<u8>);

fn events(spec: &SourceSpec, parallelism: u32, rows: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for subtask in 0..parallelism {
        let mut reader = open_one(spec, subtask, parallelism).expect("a good generator");
        read(&mut *reader, rows, usize::MAX, &mut events);
    }
    events.sort();
    events
}

/// Reads to the end, or so many batches.
fn read(reader: &mut dyn SourceReader, rows: usize, batches: usize, events: &mut Vec<Event>) {
    let mut context = Context::from_waker(Waker::noop());
    let mut left = batches;
    while left > 0 {
        match reader.poll_next(&mut context, bounds(rows)) {
            Poll::Ready(Ok(Some(batch))) => {
                assert!(batch.undecodable.is_empty(), "{:?}", batch.undecodable);
                let (timestamps, keys, values) = batch.events.into_parts();
                assert!(!timestamps.is_empty() && timestamps.len() <= rows);
                events.extend(timestamps.iter().enumerate().map(|(row, &timestamp)| {
                    (timestamp, keys.get(row).map(<[u8]>::to_vec), values.get(row).expect("a value").to_vec())
                }));
            }
            Poll::Ready(Ok(None)) => break,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => {}
        }
        left -= 1;
    }
}

#[test]
fn text_has_its_parts_at_fixed_places() {
    let events = events(&spec(r#"{"events": 20011, "keys": 9, "start_time": 5}"#), 1, 1000);
    assert_eq!(events.len(), 20_011);
    for (seq, (timestamp, key, value)) in events.iter().enumerate() {
        let key = String::from_utf8(key.clone().expect("a key")).expect("text");
        let letter = value[34] as char;
        let value = String::from_utf8(value.clone()).expect("text");
        assert!(('A'..='D').contains(&letter));
        assert!(value.starts_with(&format!("{seq:020} {key} {letter} abc")), "{value}");
        assert_eq!((value.len(), *timestamp), (110, 5 + seq as i64));
    }
}

#[test]
fn json_is_json_and_says_what_the_event_says() {
    let events =
        events(&spec(r#"{"events": 12345, "keys": 1000, "values": "json", "start_time": 1357016395000}"#), 1, 333);
    assert_eq!(events.len(), 12_345);
    for (seq, (timestamp, key, value)) in events.iter().enumerate() {
        let json: serde_json::Value = serde_json::from_slice(value).expect("json");
        assert_eq!(json["seq"], seq);
        assert_eq!(json["ts"], *timestamp);
        assert_eq!(json["key"].as_str().map(str::as_bytes), key.as_deref());
        assert!(["A", "B", "C", "D"].contains(&json["kind"].as_str().expect("text")));
        assert!((100.0..1000.0).contains(&json["amount"].as_f64().expect("a number")));
        assert_eq!(value.len(), 110, "{json}");
    }
}

#[test]
fn json_that_needs_more_bytes_than_asked_for_has_them() {
    for (start, spec_bytes) in [(-3, 0), (995, 96), (9_999_995, 0)] {
        let generator = format!(r#"{{"events": 30, "values": "json", "bytes": {spec_bytes}, "start_time": {start}}}"#);
        for (seq, (timestamp, key, value)) in events(&spec(&generator), 1, 7).into_iter().enumerate() {
            let json: serde_json::Value = serde_json::from_slice(&value).expect("json");
            assert_eq!((&json["seq"], &json["ts"]), (&seq.into(), &(start + seq as i64).into()));
            assert_eq!((timestamp, key), (start + seq as i64, None));
        }
    }
}

#[test]
fn keys_and_letters_are_drawn_evenly() {
    let events = events(&spec(r#"{"events": 40000, "keys": 4, "seed": 3}"#), 1, 4096);
    for letter in b'A'..=b'D' {
        let count = events.iter().filter(|event| event.2[34] == letter).count();
        assert!((9_500..10_500).contains(&count), "{count} of {letter}");
        let key = format!("key-0000000{}", letter - b'A');
        let count = events.iter().filter(|event| event.1.as_deref() == Some(key.as_bytes())).count();
        assert!((9_500..10_500).contains(&count), "{count} of {key}");
    }
}

#[test]
fn time_and_key_can_be_read_from_the_values_again() {
    let again = r#"{"from": {"generator": {"events": 50, "keys": 5, "values": "json"}}, "decode": "json",
                    "event_time": {"path": "$.ts", "unit": "s"}, "key": "$.kind"}"#;
    for (seq, (timestamp, key, value)) in events(&serde_json::from_str(again).expect("good"), 1, 8).iter().enumerate() {
        assert_eq!(*timestamp, 1000 * seq as i64);
        let json: serde_json::Value = serde_json::from_slice(value).expect("json");
        assert_eq!(json["kind"].as_str().map(str::as_bytes), key.as_deref());
    }
}

#[test]
fn a_rate_holds_events_back_and_wakes_the_reader_when_they_are_due() {
    struct Bell(std::sync::mpsc::Sender<()>);
    impl std::task::Wake for Bell {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.send(()).ok();
        }
    }
    let (bell, rung) = std::sync::mpsc::channel();
    let waker = Waker::from(std::sync::Arc::new(Bell(bell)));
    let mut reader = open_one(&spec(r#"{"rate": 200, "events": 21}"#), 0, 1).expect("good");
    let (start, mut got, mut waits) = (Instant::now(), 0, 0);
    loop {
        match reader.poll_next(&mut Context::from_waker(&waker), bounds(1000)) {
            Poll::Ready(Ok(Some(batch))) => got += batch.events.len(),
            Poll::Ready(Ok(None)) => break,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => {
                waits += 1;
                rung.recv_timeout(Duration::from_secs(10)).expect("woken in time");
            }
        }
    }
    assert_eq!(got, 21);
    assert!(start.elapsed() >= Duration::from_millis(100), "twenty gaps of 5 ms");
    assert!(waits <= 40, "woken {waits} times for 20 gaps");
}

#[test]
fn sizes_that_cannot_be_had_are_refused_in_words() {
    for (generator, words) in [(r#"{"bytes": 35}"#, "`bytes` is 35"), (r#"{"keys": 100000001}"#, "eight digits")] {
        let error = open_one(&spec(generator), 0, 1).err().expect("refused");
        assert!(error.message.contains(words), "{error}");
    }
}

#[test]
fn a_start_leaves_out_what_lies_before_it() {
    let from = |rest: &str| {
        let generator = r#"{"from": {"generator": {"events": 100, "values": "json", "start_time": 1000}}"#;
        let times = |parallelism| -> Vec<i64> {
            let spec = serde_json::from_str(&format!("{generator}{rest}}}")).expect("a good source");
            events(&spec, parallelism, 7).into_iter().map(|(timestamp, ..)| timestamp).collect()
        };
        assert_eq!(times(1), times(3));
        times(1)
    };
    let all = from("");
    assert_eq!(all, from(r#", "start": "beginning""#));
    assert_eq!(all[42..], from(r#", "start": {"offset": 42}"#));
    assert_eq!(all[42..], from(r#", "start": {"event_time": 1042}"#));
    assert_eq!(all, from(r#", "start": {"event_time": "1969-12-31"}"#));
    assert_eq!(from(r#", "start": {"offset": 100}"#), [0; 0]);
    let decoded = r#", "decode": "json", "event_time": {"path": "$.seq", "unit": "s"}, "start": {"event_time": 42000}"#;
    assert_eq!(from(decoded), (42..100).map(|seq| seq * 1000).collect::<Vec<i64>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_same_events_come_whatever_the_parallelism_and_the_batches(
        seed in any::<u64>(), count in 0..25_000_u64, parallelism in 1..6_u32, rows in 1..5000_usize, json in any::<bool>(),
    ) {
        let values = if json { "json" } else { "text" };
        let generator = format!(r#"{{"seed": {seed}, "events": {count}, "keys": 77, "values": "{values}", "start_time": 900}}"#);
        let alone = events(&spec(&generator), 1, 4096);
        prop_assert_eq!(alone.len() as u64, count);
        prop_assert_eq!(events(&spec(&generator), parallelism, rows), alone);
    }

    #[test]
    fn a_generator_that_goes_on_makes_what_was_not_made_whatever_the_parallelism(
        count in 0..3000_u64,
        lives in prop::collection::vec((1..5_u32, prop::collection::vec(0..4_usize, 4)), 1..4),
        rows in 1..300_usize,
    ) {
        let spec = spec(&format!(r#"{{"events": {count}, "keys": 77}}"#));
        let mut made = Vec::new();
        let mut positions: Option<Vec<SplitPosition>> = None;
        for (parallelism, batches) in lives.into_iter().chain([(2, vec![usize::MAX; 4])]) {
            let mut next = Vec::new();
            for subtask in 0..parallelism {
                let mut reader = open_at(&spec, subtask, parallelism, positions.as_deref()).expect("it goes on");
                read(&mut *reader, rows, batches[subtask as usize], &mut made);
                next.extend(reader.positions());
            }
            positions = Some(next);
        }
        made.sort();
        prop_assert_eq!(made, events(&spec, 1, 4096));
    }
}
