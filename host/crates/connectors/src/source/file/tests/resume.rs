//! Readers that go on where earlier ones stood.

use std::task::Waker;

use proptest::prelude::*;

use super::*;

const JSON: &str = r#", "decode": "json""#;
const CSV: &str = r#", "decode": {"csv": {}}"#;

fn path_spec(path: &str, rest: &str) -> SourceSpec {
    spec(&format!(r#"{{"path": "{path}"}}"#), rest)
}

/// What a reader gives that goes on from there.
fn go_on(spec: &SourceSpec, base: &Path, positions: &[SplitPosition]) -> (SourceBatch, Vec<SplitPosition>) {
    let mut reader = open_at(spec, base, 0, 1, Some(positions)).expect("it goes on");
    let (batch, error) = drain(&mut *reader, 3, 1000);
    assert_eq!(error, None);
    (batch, reader.positions())
}

fn refused(spec: &SourceSpec, base: &Path, positions: &[SplitPosition]) -> String {
    open_at(spec, base, 0, 1, Some(positions)).err().expect("refused").message
}

/// The positions after so many batches of two.
fn positions_after(spec: &SourceSpec, base: &Path, batches: usize) -> Vec<SplitPosition> {
    let mut reader = open_one(spec, base, 0, 1).expect("it opens");
    take(&mut *reader, 2, 1000, batches);
    reader.positions()
}

#[test]
fn a_file_that_has_grown_is_read_on_and_a_finished_one_is_not_read_again() {
    let directory = directory(&[("a.txt", b"1\n2\n3\n"), ("b.txt", b"4\n")]);
    let (base, spec) = (directory.path(), path_spec("*.txt", ""));
    let finished = positions_after(&spec, base, 9);
    assert_eq!(finished.len(), 2);
    assert!(go_on(&spec, base, &finished).0.events.is_empty());
    std::fs::write(base.join("a.txt"), "1\n2\n3\n3b\n").expect("written");
    std::fs::write(base.join("c.txt"), "5").expect("written");
    let (batch, again) = go_on(&spec, base, &finished);
    assert_eq!(values(&batch), ["3b", "5"]);
    assert!(go_on(&spec, base, &again).0.events.is_empty());
    // Cleared away, since they were read.
    for name in ["a.txt", "b.txt", "c.txt"] {
        std::fs::remove_file(base.join(name)).expect("there");
    }
    let (nothing, still) = go_on(&spec, base, &again);
    assert_eq!(nothing, SourceBatch::default());
    assert!(still.len() == 3 && still.iter().all(|position| again.contains(position)));
}

#[test]
fn a_file_that_is_not_what_it_was_ends_the_job_with_a_sentence() {
    let names = ["a.jsonl", "a.jsonl.gz"];
    for name in names {
        let pack = |text: &str| if name.ends_with("gz") { gzip(text.as_bytes()) } else { text.as_bytes().to_vec() };
        let lines: String = (0..900).map(|line| format!("{{\"line\":{line}}}\n")).collect();
        let directory = directory(&[(name, &pack(&lines))]);
        let (base, spec) = (directory.path(), path_spec("a.*", JSON));
        for batches in [5, 1000] {
            std::fs::write(base.join(name), pack(&lines)).expect("written");
            let positions = positions_after(&spec, base, batches);
            std::fs::write(base.join(name), &pack(&lines)[..300]).expect("written");
            assert!(refused(&spec, base, &positions).contains("was cut short"));
            std::fs::write(base.join(name), pack(&lines.replace("e\":", "e\" :"))).expect("written");
            let reason = refused(&spec, base, &positions);
            assert!(reason.contains(&format!("`{name}` begins otherwise")) && reason.contains("anew"), "{reason}");
        }
        let positions = positions_after(&spec, base, 5);
        std::fs::remove_file(base.join(name)).expect("there");
        std::fs::write(base.join("a.other"), "{}").expect("written");
        assert!(refused(&spec, base, &positions).contains("is gone, and only 10 of its records were read"));
    }
}

#[test]
fn a_packed_file_that_ends_before_its_position_is_noticed_though_it_is_as_long_as_it_was() {
    let directory = directory(&[("a.gz", &gzip("1\n2\n3\n4\n".as_bytes()))]);
    let (base, spec) = (directory.path(), path_spec("a.gz", ""));
    let mut positions = positions_after(&spec, base, 1);
    let node = "files".parse().expect("an id");
    let mut position = FilePosition::decode(&node, &positions[0]).expect("of a file");
    position.place.offset = 100;
    positions[0] = position.encode("a.gz");
    let mut reader = open_at(&spec, base, 0, 1, Some(&positions)).expect("it opens");
    let (_, error) = drain(&mut *reader, 2, 100);
    assert!(error.expect("too short").message.contains("was read up to byte 100 and ends before"));
}

#[test]
fn places_are_right_in_what_is_read_on() {
    let rows = b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n\"3\n\",4\r\n5\r\n\xef\xbb\xbf6,6\r\n7\r\n";
    let directory = directory(&[("a.csv", rows), ("b.jsonl", b"1\n\n{\n3\n{"), ("c.csv.gz", &gzip(rows))]);
    for (path, rest) in [("a.csv", CSV), ("b.jsonl", JSON), ("c.csv.gz", CSV)] {
        let spec = path_spec(path, rest);
        let whole = read_all(&spec, directory.path());
        assert!(whole.undecodable.len() == 2);
        for batches in 0..7 {
            let mut reader = open_one(&spec, directory.path(), 0, 1).expect("it opens");
            let (mut both, _) = take(&mut *reader, 1, 1000, batches);
            let (rest, _) = go_on(&spec, directory.path(), &reader.positions());
            both.events.append(&rest.events);
            both.undecodable.extend(rest.undecodable);
            assert_eq!(both, whole, "{path} after {batches}");
        }
    }
}

#[test]
fn another_number_of_subtasks_goes_on_with_all_files() {
    let directory = numbered(0..20);
    let spec = path_spec("*.txt", "");
    let (mut all, mut positions) = (Vec::new(), Vec::new());
    for subtask in 0..3 {
        let mut reader = open_one(&spec, directory.path(), subtask, 3).expect("it opens");
        all.extend(values(&take(&mut *reader, 1, 100, 2).0));
        positions.extend(reader.positions());
    }
    for subtask in 0..2 {
        let mut reader = open_at(&spec, directory.path(), subtask, 2, Some(&positions)).expect("it opens");
        all.extend(values(&drain(&mut *reader, 10, 100).0));
    }
    all.sort();
    assert_eq!(all, (0..20).map(|file| format!("{file:02}")).collect::<Vec<_>>());
}

#[test]
fn a_start_leaves_out_what_lies_before_it() {
    let lines = b"{\"t\":1}\n\n{\"t\":5}\n{\n{\"t\":3}\n{\"t\":9}\n";
    let directory = directory(&[("a.jsonl", lines), ("b.jsonl", lines)]);
    let read = |path: &str, start: &str| {
        let rest = format!(r#", "decode": "json", "event_time": {{"path": "$.t"}}, "start": {start}"#);
        let batch = read_all(&path_spec(path, &rest), directory.path());
        (batch.events.timestamps().to_vec(), origins(&batch).join(" "))
    };
    assert_eq!(read("a.jsonl", r#""beginning""#), (vec![1, 5, 3, 9], "a.jsonl:4".to_owned()));
    assert_eq!(read("a.jsonl", r#"{"event_time": 4}"#), (vec![5, 9], "a.jsonl:4".to_owned()));
    assert_eq!(read("*.jsonl", r#"{"offset": 3}"#), (vec![3, 9, 3, 9], String::new()));
    assert_eq!(read("a.jsonl", r#"{"offset": 9}"#), (vec![], String::new()));
    let rows = self::directory(&[("a.csv", b"n\n1\n2\n3\n")]);
    let spec = path_spec("a.csv", r#", "decode": {"csv": {}}, "start": {"offset": 2}"#);
    assert_eq!(values(&read_all(&spec, rows.path())), [r#"{"n":"3"}"#]);
}

#[test]
fn a_replay_that_goes_on_repeats_no_event_and_no_letter_and_keeps_step() {
    let lines = b"{\"t\":1000}\n{\n{\"t\":7000}\n[]\n{\"t\":13000}\n";
    let directory = directory(&[("a", lines)]);
    let from = r#"{"path": "a", "replay_speed": 100.0}"#;
    let spec = spec(from, r#", "decode": "json", "event_time": {"path": "$.t"}"#);
    let whole = read_all(&spec, directory.path());
    let (mut both, mut positions) = (SourceBatch::default(), None);
    let begin = Instant::now();
    for _ in 0..6 {
        let mut reader = open_at(&spec, directory.path(), 0, 1, positions.as_deref()).expect("it opens");
        let (batch, error) = take(&mut *reader, 1, 1000, 1);
        assert_eq!(error, None);
        both.events.append(&batch.events);
        both.undecodable.extend(batch.undecodable);
        // Looks ahead, and holds what it finds.
        let polled = reader
            .poll_next(&mut Context::from_waker(Waker::noop()), ReadBounds { max_rows: 0, max_bytes: 0, now_ms: 42 });
        if let Poll::Ready(Ok(Some(batch))) = polled {
            both.events.append(&batch.events);
            both.undecodable.extend(batch.undecodable);
        }
        positions = Some(reader.positions());
    }
    assert_eq!(both, whole);
    assert!(begin.elapsed() >= Duration::from_millis(120), "the gaps are kept over all lives");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn lives_together_read_what_one_life_reads(
        files in prop::collection::vec(("([a-c,\\n\"{}1]|\r\n|\u{feff}){0,60}", 0..3_usize), 1..4),
        kind in 0..3_usize,
        lives in prop::collection::vec((1..4_usize, 1..40_usize, 0..5_usize), 0..6),
        leave_out in 0..4_u64,
    ) {
        let rest = ["", JSON, r#", "decode": {"csv": {"header": ["x", "y"]}}"#][kind];
        let directory = directory(&[]);
        for (number, (text, packing)) in files.iter().enumerate() {
            let (end, bytes) = match packing {
                0 => ("txt", text.as_bytes().to_vec()),
                1 => ("txt.gz", gzip(text.as_bytes())),
                _ => ("txt.zst", zstd::encode_all(text.as_bytes(), 1).expect("packed")),
            };
            std::fs::write(directory.path().join(format!("{number}.{end}")), bytes).expect("written");
        }
        let spec = path_spec("*", &format!(r#"{rest}, "start": {{"offset": {leave_out}}}"#));
        let mut whole = open_one(&spec, directory.path(), 0, 1).expect("it opens");
        let (whole, failed) = drain(&mut *whole, 100, 10_000);
        let (mut all, mut positions, mut error) = (SourceBatch::default(), None, None);
        for (rows, bytes, batches) in lives.into_iter().chain([(3, 100, usize::MAX)]) {
            let mut reader = open_at(&spec, directory.path(), 0, 1, positions.as_deref()).expect("it goes on");
            let (batch, failed) = take(&mut *reader, rows, bytes, batches);
            all.events.append(&batch.events);
            all.undecodable.extend(batch.undecodable);
            positions = Some(reader.positions());
            error = failed;
            if error.is_some() {
                break;
            }
        }
        prop_assert_eq!(error, failed);
        prop_assert_eq!(all, whole);
    }
}
