//! Files, beyond what every transactional sink promises.

use std::path::Path;

use gristmill_ports::ErrorKind;
use gristmill_types::AttemptId;
use serde_json::json;

use super::kinds::{listed, shown};
use super::world::{World, events, spec, values_of};

fn file(path: &str) -> gristmill_dataflow::document::SinkSpec {
    spec(json!({"file": {"path": path}}))
}

fn content(world: &World) -> Vec<String> {
    shown(world).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn several_subtasks_write_files_of_their_own() {
    for (path, names) in [("out/rows.jsonl", ["rows-0.jsonl", "rows-1.jsonl"]), ("out/plain", ["plain-0", "plain-1"])] {
        let world = World::new();
        let spec = file(path);
        let mut committer = world.committer(&spec, 1);
        for subtask in 0..2 {
            let mut attempt = world.subtask(&spec, 1, (subtask, 2), None);
            attempt.write([u64::from(subtask)]);
            world.commit(&mut *committer, 1, &attempt.checkpoint(1).committables).unwrap();
        }
        let found: Vec<_> = shown(&world).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(found, names);
        assert_eq!(content(&world), ["{\"id\":0}\n", "{\"id\":1}\n"]);
    }
}

#[test]
fn what_stood_in_the_file_stays_until_the_first_commit_takes_its_place() {
    let world = World::new();
    let target = world.base().join("out/rows.jsonl");
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::write(&target, "the last run, and a long one").unwrap();
    let spec = file("out/rows.jsonl");
    let mut attempt = world.attempt(&spec, 1, None);
    attempt.write([1]);
    let first = attempt.checkpoint(1);
    assert_eq!(content(&world), ["the last run, and a long one"]);
    world.commit(&mut *world.committer(&spec, 1), 1, &first.committables).unwrap();
    assert_eq!(content(&world), ["{\"id\":1}\n"]);
}

#[test]
fn a_run_without_events_leaves_an_empty_file_or_the_header_of_a_table_and_no_parts() {
    let table = json!({"csv": {"columns": {"id": "$.id", "at": "$event_time"}}});
    for (path, encode, wanted) in [
        ("out/rows", json!("json-lines"), vec![""]),
        ("out/rows", table.clone(), vec!["at,id\n"]),
        ("out/rows-{part}", table, vec![]),
    ] {
        let world = World::new();
        let spec = spec(json!({"file": {"path": path, "encode": encode}}));
        let mut attempt = world.attempt(&spec, 1, None);
        world.commit(&mut *world.committer(&spec, 1), 1, &attempt.checkpoint(1).committables).unwrap();
        attempt.sink.finish().unwrap();
        assert_eq!(content(&world), wanted);
    }
}

#[test]
fn a_table_has_its_header_once_in_a_file_and_once_in_each_of_many() {
    for (path, wanted) in
        [("out/rows.csv", vec!["id\n1\n2\n3\n"]), ("out/rows-{part}.csv", vec!["id\n1\n", "id\n2\n", "id\n3\n"])]
    {
        let world = World::new();
        let spec = spec(json!({"file": {"path": path, "encode": {"csv": {"columns": {"id": "$.id"}}}}}));
        let mut last = None;
        for number in 1..=3 {
            let mut attempt = world.attempt(&spec, number, last.as_ref());
            attempt.write([number]);
            let checkpoint = attempt.checkpoint(number);
            world.commit(&mut *world.committer(&spec, number), number, &checkpoint.committables).unwrap();
            last = Some(checkpoint);
        }
        assert_eq!(content(&world), wanted);
    }
}

#[test]
fn a_torn_append_is_mended_by_repeating_it_and_what_follows_stays() {
    let world = World::new();
    let spec = file("out/rows.jsonl");
    let mut attempt = world.attempt(&spec, 1, None);
    let mut committer = world.committer(&spec, 1);
    attempt.write([1]);
    world.commit(&mut *committer, 1, &attempt.checkpoint(1).committables).unwrap();
    attempt.write([2]);
    let second = attempt.checkpoint(2).committables;
    let target = world.base().join("out/rows.jsonl");
    std::fs::write(&target, "{\"id\":1}\n{\"id\"").unwrap();
    world.commit(&mut *committer, 2, &second).unwrap();
    assert_eq!(content(&world), ["{\"id\":1}\n{\"id\":2}\n"]);
}

#[test]
fn a_file_that_somebody_cut_or_moved_is_a_sentence_and_nothing_is_lost() {
    let world = World::new();
    let spec = file("out/rows.jsonl");
    let mut attempt = world.attempt(&spec, 1, None);
    let mut committer = world.committer(&spec, 1);
    attempt.write([1]);
    world.commit(&mut *committer, 1, &attempt.checkpoint(1).committables).unwrap();
    attempt.write([2]);
    let second = attempt.checkpoint(2).committables;
    let target = world.base().join("out/rows.jsonl");
    let elsewhere = world.base().join("out/moved");
    std::fs::rename(&target, &elsewhere).unwrap();
    let error = world.commit(&mut *committer, 2, &second).expect_err("it is gone");
    assert!(error.kind == ErrorKind::Fatal && error.message.contains("is gone"), "{error}");
    std::fs::write(&target, "{").unwrap();
    let error = world.commit(&mut *committer, 2, &second).expect_err("it is cut");
    assert!(error.message.contains("has 1 bytes") && error.message.contains("behind its 9 bytes"), "{error}");
    std::fs::rename(&elsewhere, &target).unwrap();
    world.commit(&mut *committer, 2, &second).unwrap();
    assert_eq!(content(&world), ["{\"id\":1}\n{\"id\":2}\n"]);
}

#[test]
fn nothing_is_written_into_a_file_that_took_the_place_of_the_jobs_own() {
    let world = World::new();
    let spec = file("out/rows.jsonl");
    let target = world.base().join("out/rows.jsonl");
    let mut attempt = world.attempt(&spec, 1, None);
    let mut committer = world.committer(&spec, 1);
    attempt.write([1]);
    let first = attempt.checkpoint(1);
    world.commit(&mut *committer, 1, &first.committables).unwrap();
    let own = std::fs::read_to_string(&target).unwrap();
    // Another attempt has only what the checkpoint says to go by.
    let mut attempt = world.attempt(&spec, 2, Some(&first));
    attempt.write([2]);
    let second = attempt.checkpoint(2).committables;
    let put_back = "put it back, then restart the job";
    for (stranger, words) in [
        ("somebody else's, and a longer one\n".to_owned(), put_back),
        ("x".repeat(own.len()), put_back),
        (format!("{own}{{\"id\":2}}?"), "has 18 bytes, and the next output belongs behind its first 9"),
        (format!("{own}somebody else's line\n"), "truncate -s 9"),
    ] {
        std::fs::remove_file(&target).unwrap();
        std::fs::write(&target, &stranger).unwrap();
        let error = world.commit(&mut *committer, 2, &second).expect_err(&stranger);
        assert!(error.kind == ErrorKind::Fatal && error.message.contains(words), "{stranger:?}: {error}");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), stranger, "it is left alone");
    }
    // A copy is as good as the file, and zeros are what a crash may leave of a piece.
    for rest in ["", "{\"id\":2}", "{\"id\0\0\0", "\0\0"] {
        std::fs::write(&target, format!("{own}{rest}")).unwrap();
        let staged = world.base().join("out/.kept");
        let piece =
            listed(&world).into_iter().find(|path| path.extension().is_some_and(|end| end == "staged")).unwrap();
        std::fs::copy(&piece, &staged).unwrap();
        world.commit(&mut *committer, 2, &second).unwrap();
        assert_eq!(content(&world), ["{\"id\":1}\n{\"id\":2}\n"]);
        std::fs::rename(&staged, &piece).unwrap();
    }
}

#[test]
fn output_that_is_nowhere_is_not_taken_for_committed() {
    for path in ["out/rows.jsonl", "out/rows-{part}.jsonl"] {
        let world = World::new();
        let (spec, out, away) = (file(path), world.base().join("out"), world.base().join("away"));
        let mut attempt = world.attempt(&spec, 1, None);
        let mut committer = world.committer(&spec, 1);
        for number in 1..=2 {
            attempt.write([number]);
            let committables = attempt.checkpoint(number).committables;
            std::fs::rename(&out, &away).unwrap();
            let error = world.commit(&mut *committer, number, &committables).expect_err("its disk is not mounted");
            assert_eq!(error.kind, ErrorKind::Fatal, "{error}");
            let words = format!("the folder `{}` is gone", out.display());
            assert!(error.message.contains(&words) && error.message.contains("mount its disk"), "{error}");
            std::fs::rename(&away, &out).unwrap();
            world.commit(&mut *committer, number, &committables).unwrap();
        }
        assert_eq!(content(&world).concat(), "{\"id\":1}\n{\"id\":2}\n");
    }
}

#[test]
fn a_piece_that_is_neither_staged_nor_in_its_file_is_told() {
    let world = World::new();
    let spec = file("out/rows.jsonl");
    let mut attempt = world.attempt(&spec, 1, None);
    let mut committer = world.committer(&spec, 1);
    let target = world.base().join("out/rows.jsonl");
    for (number, end) in [(1, 9), (2, 18)] {
        attempt.write([number]);
        let committables = attempt.checkpoint(number).committables;
        world.commit(&mut *committer, number, &committables).unwrap();
        let whole = std::fs::read(&target).unwrap();
        std::fs::write(&target, &whole[..whole.len() - 1]).unwrap();
        let error = world.commit(&mut *committer, number, &committables).expect_err("a byte of it is missing");
        assert!(error.message.contains(&format!("has {} bytes", end - 1)), "{error}");
        assert!(error.message.contains(&format!("behind its {end} bytes")), "{error}");
        std::fs::write(&target, &whole).unwrap();
        world.commit(&mut *committer, number, &committables).unwrap();
    }
}

#[test]
fn two_sinks_that_come_to_one_folder_by_two_ways_are_in_nobodys_way() {
    let world = World::new();
    std::fs::create_dir_all(world.base().join("out")).unwrap();
    std::os::unix::fs::symlink("out", world.base().join("link")).unwrap();
    let sinks = [("one", "out/rows-{part}.jsonl"), ("two", "link/rows-{part}.jsonl")].map(|(node, path)| {
        let context = gristmill_ports::parts::PartContext { node: node.parse().unwrap(), ..world.context(1, 0, 1) };
        (file(path), context)
    });
    let mut staged = Vec::new();
    for (number, (spec, context)) in (1..).zip(&sinks) {
        let mut attempt = world.attempt_of(spec, context.clone());
        attempt.write([number]);
        staged.push(attempt.checkpoint(1).committables);
    }
    for ((spec, context), committables) in sinks.iter().zip(&staged) {
        let mut committer = world.committer_of(spec, context);
        committer.abort_all_but(committables, &[AttemptId(1)]).unwrap();
        world.commit(&mut *committer, 1, committables).unwrap();
        world.commit(&mut *committer, 1, committables).unwrap();
    }
    assert_eq!(content(&world), ["{\"id\":1}\n", "{\"id\":2}\n"]);
}

#[test]
fn a_file_that_has_the_name_of_a_part_is_not_replaced() {
    let world = World::new();
    let spec = file("out/rows-{part}.jsonl");
    let mut attempt = world.attempt(&spec, 1, None);
    attempt.write([1]);
    let committables = attempt.checkpoint(1).committables;
    let target = world.base().join("out/rows-00000001-0000000000000001-out-0-0.jsonl");
    std::fs::write(&target, "somebody's").unwrap();
    let error = world.commit(&mut *world.committer(&spec, 1), 1, &committables).expect_err("it is taken");
    assert!(error.kind == ErrorKind::Fatal && error.message.contains("exists"), "{error}");
    assert_eq!(content(&world), ["somebody's"]);
    std::fs::remove_file(&target).unwrap();
    world.commit(&mut *world.committer(&spec, 1), 1, &committables).unwrap();
    assert_eq!(content(&world), ["{\"id\":1}\n"]);
}

#[test]
fn only_what_earlier_attempts_staged_for_this_target_is_thrown_away() {
    let world = World::new();
    let spec = file("out/rows.jsonl");
    world.attempt(&spec, 1, None).checkpoint(1);
    for stranger in [
        ".rows.jsonl.0000000000000009-out-0-0.staged",
        ".rows.jsonl.0000000000000001-other-0-0.staged",
        ".other.jsonl.0000000000000001-out-0-0.staged",
        ".notes",
    ] {
        std::fs::write(world.base().join("out").join(stranger), "").unwrap();
    }
    // As a host named it that left the sink out.
    std::fs::write(world.base().join("out/.rows.jsonl.0000000000000001-0-1.staged"), "").unwrap();
    assert_eq!(listed(&world).len(), 6);
    world.committer(&spec, 2).abort_all_but(&[], &[AttemptId(1)]).unwrap();
    assert_eq!(listed(&world).len(), 4);
}

#[test]
fn output_that_was_cut_off_and_never_sealed_is_removed() {
    for path in ["out/rows.jsonl", "out/rows-{part}.jsonl"] {
        let world = World::new();
        let mut attempt = world.attempt(&file(path), 1, None);
        attempt.write([1]);
        let cut = attempt.sink.pre_commit(gristmill_types::CheckpointId(1)).unwrap();
        attempt.write([2]);
        drop((cut, attempt));
        assert_eq!(listed(&world), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_file_that_is_full_is_followed_by_another_within_a_checkpoint() {
    for roll in [json!({"size": "1KiB"}), json!({"every": "1ns"})] {
        let world = World::new();
        let spec = spec(json!({"file": {"path": "out/rows-{part}.jsonl", "roll": roll}}));
        let mut attempt = world.attempt(&spec, 1, None);
        for batch in 0..3 {
            attempt.write(batch * 200..(batch + 1) * 200);
        }
        let committables = attempt.checkpoint(12).committables;
        world.commit(&mut *world.committer(&spec, 1), 12, &committables).unwrap();
        let names: Vec<_> =
            shown(&world).iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        let wanted = [0, 1, 2].map(|number| format!("rows-00000012-0000000000000001-out-0-{number}.jsonl"));
        assert_eq!(names, wanted);
        assert_eq!(content(&world).concat().lines().count(), 600);
    }
}

#[test]
fn events_that_do_not_fit_a_parquet_file_are_told_and_the_others_are_in_it() {
    let world = World::new();
    let columns = json!({
        "id": {"path": "$.id", "type": "int64"}, "x": {"path": "$.x", "type": "float64"},
        "ok": {"path": "$.ok", "type": "bool"}, "text": {"path": "$.text"}, "key": {"path": "$key"},
        "at": {"path": "$event_time"}, "seen": {"path": "$.seen", "type": "timestamp"},
    });
    let spec = spec(json!({"file": {"path": "out/a-{part}.parquet", "encode": {"parquet": {"columns": columns}}}}));
    let mut attempt = world.attempt(&spec, 1, None);
    let values = [
        r#"{"id": 1, "x": 1.5, "ok": true, "text": "é\n", "seen": "1970-01-01T00:00:02Z"}"#,
        r#"{"id": 1.5}"#,
        r#"{"id": "2", "text": {"a": [1]}}"#,
        "torn",
        r#"{"x": "many"}"#,
        "{}",
    ];
    let refused = attempt.sink.write(&values_of(&values)).unwrap();
    let told: Vec<_> = refused.iter().map(|refused| (refused.row, refused.reason.as_str())).collect();
    assert_eq!(told[0], (1, "column `id` takes whole numbers of 64 bits, not `1.5`"));
    assert!(told[1].0 == 3 && told[1].1.ends_with("it begins with `torn`"), "{told:?}");
    assert_eq!(told[2], (4, "column `x` takes numbers, not `\"many\"`"));
    world.commit(&mut *world.committer(&spec, 1), 1, &attempt.checkpoint(1).committables).unwrap();
    assert_eq!(attempt.sink.finish().unwrap().unwrap().events, 3);

    let file = std::fs::File::open(&shown(&world)[0]).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema: Vec<_> = reader.schema().fields().iter().map(|field| field.to_string()).collect();
    assert_eq!(schema.len(), 7, "{schema:?}");
    let rows = reader.build().unwrap().next().unwrap().unwrap();
    let column = |name: &str| format!("{:?}", rows[name]);
    for (name, words) in [
        ("id", &["1,", "2,", "null"][..]),
        ("x", &["1.5,", "null,"]),
        ("ok", &["true,", "null,"]),
        ("text", &["é\\n", r#"{\"a\": [1]}"#, "null"]),
        ("key", &["k"]),
        ("at", &["1970-01-01T00:00:01.500"]),
        ("seen", &["1970-01-01T00:00:02"]),
    ] {
        for word in words {
            assert!(column(name).contains(word), "{name}: {} lacks {word}", column(name));
        }
    }
}

#[test]
fn a_parquet_file_of_many_row_groups_is_whole() {
    let world = World::new();
    let columns = json!({"id": {"path": "$.id", "type": "int64"}, "text": {"path": "$.text"}});
    let spec = spec(json!({"file": {"path": "out/a-{part}.parquet", "encode": {"parquet": {"columns": columns}}}}));
    let mut attempt = world.attempt(&spec, 1, None);
    // Of letters that do not repeat, so that 48 MB stay what they are.
    let mut state = 1_u64;
    for batch in 0..48_u64 {
        let values: Vec<_> = (0..1000)
            .map(|row| {
                let text: String = (0..60)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        format!("{:016x}", state ^ state >> 29)
                    })
                    .collect();
                format!("{{\"id\":{},\"text\":\"{text}\"}}", batch * 1000 + row)
            })
            .collect();
        assert!(attempt.sink.write(&values_of(&values)).unwrap().is_empty());
    }
    world.commit(&mut *world.committer(&spec, 1), 1, &attempt.checkpoint(1).committables).unwrap();
    let file = std::fs::File::open(&shown(&world)[0]).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert!(reader.metadata().num_row_groups() > 1, "{}", reader.metadata().num_row_groups());
    assert_eq!(reader.metadata().file_metadata().num_rows(), 48_000);
    let rows: usize = reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 48_000);
}

#[test]
fn a_file_has_one_writer_at_a_time() {
    let world = World::new();
    let first = world.attempt(&file("out/rows.jsonl"), 1, None);
    let mut other = world.context(2, 0, 1);
    other.node = "other".parse().unwrap();
    let open = || world.open(&file("./out/rows.jsonl"), &other, None);
    let error = open().err().expect("it is being written");
    assert!(error.message.contains("rows.jsonl`: another sink, job or program is writing it"), "{error}");
    drop(first);
    open().unwrap();
}

#[test]
fn an_attempt_goes_on_while_the_one_before_it_is_only_stopped() {
    let world = World::new();
    let spec = file("out/rows.jsonl");
    let mut stopped = world.attempt(&spec, 1, None);
    stopped.write([1]);
    let decided = stopped.checkpoint(1);
    stopped.write([2]);
    let mut committer = world.committer(&spec, 2);
    committer.abort_all_but(&decided.committables, &[AttemptId(1)]).unwrap();
    world.commit(&mut *committer, 1, &decided.committables).unwrap();
    let mut successor = world.attempt(&spec, 2, Some(&decided));
    successor.write([2, 3]);
    let next = successor.checkpoint(2);
    // It wakes up, cuts in good faith, and learns that it is fenced.
    let mut cut = stopped.sink.pre_commit(gristmill_types::CheckpointId(2)).unwrap().unwrap();
    world.commit(&mut *world.committer(&spec, 1), 1, &decided.committables).unwrap();
    world.commit(&mut *committer, 2, &next.committables).unwrap();
    assert!(cut.seal(&*world.files).is_err(), "its staged file was thrown away");
    assert_eq!(content(&world), ["{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n"]);
}

#[test]
fn what_cannot_be_written_is_a_sentence() {
    let world = World::new();
    let base = world.base();
    std::fs::create_dir_all(base.join("dir")).unwrap();
    std::fs::write(base.join("file"), "").unwrap();
    std::os::unix::fs::symlink(base.join("file"), base.join("link")).unwrap();
    for (path, words) in
        [("file/out.jsonl", "cannot write"), ("dir", "name a file in it"), ("link", "name the file that it points to")]
    {
        let error = world.open(&file(path), &world.context(1, 0, 1), None).err().expect(path);
        assert!(error.message.contains(words) && error.message.contains(path), "{error}");
    }
}

#[test]
fn devices_are_written_straight_through() {
    let world = World::new();
    let mut null = world.open(&file("/dev/null"), &world.context(1, 0, 1), None).unwrap();
    null.write(&events([1])).unwrap();
    assert!(null.pre_commit(gristmill_types::CheckpointId(1)).unwrap().is_none(), "there is nothing to commit");
    assert!(null.finish().is_ok());
    let mut full = world.open(&file("/dev/full"), &world.context(1, 0, 1), None).unwrap();
    full.write(&events([1])).unwrap();
    assert_eq!(full.flush().expect_err("no space").kind, ErrorKind::Retry);
}

#[test]
fn a_pipe_without_a_reader_is_a_sentence_and_one_with_a_reader_is_written() {
    let world = World::new();
    std::fs::create_dir_all(world.base()).unwrap();
    let path = world.base().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let open = || world.open(&file("pipe"), &world.context(1, 0, 1), None);
    let error = open().err().expect("nobody reads");
    assert!(error.message.contains("start its reader first"), "{error}");
    let reader = std::thread::spawn(move || std::fs::read_to_string(path).unwrap());
    let mut tries = std::iter::repeat_with(|| {
        std::thread::yield_now();
        open()
    });
    let mut sink = tries.find_map(Result::ok).expect("the reader comes");
    sink.write(&values_of(&vec!["x".repeat(1000); 1000])).unwrap();
    sink.finish().unwrap();
    drop(sink);
    assert_eq!(reader.join().unwrap().len(), 1_001_000);
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_written_twice() {
    // A file system of one megabyte; without the right to make one there is nothing to see.
    let world = World::new();
    let small = world.base().join("out");
    std::fs::create_dir_all(&small).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return;
    }
    let _unmounted = Unmounted(small.clone());
    for path in ["out/rows.jsonl", "out/rows-{part}.jsonl"] {
        let spec = file(path);
        let ballast = small.join("ballast");
        std::fs::write(&ballast, vec![1; 900 << 10]).unwrap();
        let mut attempt = world.attempt(&spec, 1, None);
        attempt.write(0..40_000);
        assert_eq!(attempt.sink.flush().expect_err("no room").kind, ErrorKind::Retry);
        let mut cut = attempt.sink.pre_commit(gristmill_types::CheckpointId(1)).unwrap().unwrap();
        std::fs::remove_file(&ballast).unwrap();
        let committables = attempt.seal(&mut *cut, 1);
        world.commit(&mut *world.committer(&spec, 1), 1, &committables).unwrap();
        let lines = content(&world).concat();
        assert!(lines.lines().eq((0..40_000).map(|id| format!("{{\"id\":{id}}}"))), "{path}");
        shown(&world).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
}

struct Unmounted(std::path::PathBuf);

impl Drop for Unmounted {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg("--lazy").arg(AsRef::<Path>::as_ref(&self.0)).status().ok();
    }
}
