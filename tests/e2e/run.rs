//! `gristmill run`: one job in one process. Every example runs as its README says.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::documents::{copied, file, through};
use crate::guests::{example, odd, root};
use crate::host::{eventually, gristmill, text};

/// Runs a job document in a folder, where its dead letters go.
fn run_in(folder: &Path, document: &Path) -> Output {
    gristmill().arg("run").arg(document).current_dir(folder).output().unwrap()
}

/// Runs an example as it stands; gives its rows on standard output, and what it set aside.
fn run_example(name: &str, module: &str) -> (Vec<String>, Vec<Value>) {
    example(module);
    let folder = tempfile::tempdir().unwrap();
    let output = run_in(folder.path(), &root().join(format!("guest-examples/{name}/job.yaml")));
    assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
    let letters = std::fs::read_dir(folder.path()).unwrap().flat_map(|entry| json_lines(&entry.unwrap().path()));
    (text(&output.stdout).lines().map(str::to_owned).collect(), letters.collect())
}

fn json_lines(path: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The flights of the fixture, each by the names of its columns.
fn flights() -> Vec<HashMap<String, String>> {
    let unpacked = Command::new("gzip").arg("-dc").arg(root().join("tests/fixtures/flights-2013-01.csv.gz")).output();
    let text = text(&unpacked.unwrap().stdout);
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        names.iter().zip(line.split(',')).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    lines.map(row).collect()
}

#[test]
fn filter_keeps_the_events_with_its_letter_and_no_other() {
    let (kept, letters) = run_example("filter", "filter");
    let folder = tempfile::tempdir().unwrap();
    let all = copied("all", &json!({"generator": {"events": 10_000}}), &"raw".into());
    std::fs::write(folder.path().join("all.json"), all.to_string()).unwrap();
    assert!(run_in(folder.path(), Path::new("all.json")).status.success());
    let all = std::fs::read_to_string(folder.path().join("all.out")).unwrap();
    let expected: Vec<&str> = all.lines().filter(|event| event.as_bytes()[34] == b'A').collect();
    assert!(expected.len() > 2000, "{}", expected.len());
    assert_eq!(
        (all.lines().count(), kept, letters),
        (10_000, expected.into_iter().map(str::to_owned).collect(), vec![])
    );
}

#[test]
fn word_count_counts_every_word() {
    let (rows, letters) = run_example("word-count", "word-count");
    let expected = ["to 1", "be 1", "or 1", "not 1", "to 2", "be 2", "that 1", "is 1", "the 1", "question 1"];
    assert_eq!((rows, letters), (expected.map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn enrich_adds_what_follows_and_sets_aside_what_is_no_flight() {
    let (rows, letters) = run_example("enrich", "enrich");
    let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let expected = json!([
        {"carrier": "UA", "route": "EWR-IAH", "speed": 370, "late": true},
        {"carrier": "AA", "route": "JFK-MIA", "speed": 408, "late": false},
        {"carrier": "B6", "route": "LGA-FLL", "speed": null, "late": null},
    ]);
    assert_eq!(Value::Array(rows), expected);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["value"]["text"], "{\"carrier\":\"DL\",\"origin\":\"JFK\"}");
    assert!(letters[0]["reason"]["message"].as_str().unwrap().contains("missing field `dest`"), "{}", letters[0]);
}

#[test]
fn route_sends_each_order_out_of_the_port_that_fits() {
    let (large, letters) = run_example("route", "route");
    let orders = json_lines(&root().join("guest-examples/route/orders.jsonl"));
    let of = |name: &str| json_lines(&root().join(format!("guest-examples/target/route/{name}.jsonl")));
    let large: Vec<Value> = large.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(large, [orders[1].clone(), orders[3].clone()]);
    assert_eq!((of("small"), of("odd"), letters), (vec![orders[0].clone()], vec![orders[2].clone()], vec![]));
}

#[test]
fn delay_stats_runs_and_writes_both_its_files() {
    let (rows, letters) = run_example("delay-stats", "delay-stats");
    assert_eq!((rows, letters), (vec![], vec![]));
    for name in ["carriers", "routes"] {
        let lines = json_lines(&root().join(format!("guest-examples/target/delay-stats/{name}.jsonl")));
        assert!(lines.iter().all(|line| line["flights"].as_u64().unwrap() > 0) && lines.len() > 10, "{name}");
    }
}

#[test]
fn the_filter_in_c_keeps_the_late_flights() {
    let (rows, letters) = run_example("c-filter", "c-filter");
    let late = |flight: &HashMap<String, String>| flight["dep_delay"].parse().is_ok_and(|delay: i64| delay > 120);
    let name =
        |flight: &HashMap<String, String>| format!("{} {} {}", flight["tailnum"], flight["time_hour"], flight["dest"]);
    let expected: Vec<String> = flights().iter().filter(|flight| late(flight)).map(name).collect();
    let seen = rows.iter().map(|row| {
        let flight: Value = serde_json::from_str(row).unwrap();
        let field = |name: &str| flight[name].as_str().unwrap().to_owned();
        format!("{} {} {}", field("tailnum"), field("time_hour"), field("dest"))
    });
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert_eq!((expected.len(), letters), (593, vec![]));
}

#[test]
fn the_event_operator_in_c_counts_the_flights_of_each_carrier() {
    let (rows, letters) = run_example("c-event-operator", "c-event-operator");
    let mut counts: HashMap<String, u64> = HashMap::new();
    let expected: Vec<String> = flights()
        .iter()
        .map(|flight| {
            let count = counts.entry(flight["carrier"].clone()).or_default();
            *count += 1;
            format!("{{\"key\":\"{}\",\"count\":{count}}}", flight["carrier"])
        })
        .collect();
    assert_eq!(rows.len(), expected.len());
    assert!(rows == expected, "a carrier is miscounted, or an event is out of order");
    assert!(letters.is_empty());
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("in.txt", "one\ntwo poison\nthree\n");
    write("bad.yaml", "version: 1\njob: bad\nsources:\n  in:\n    form: {file: {path: in.txt}}\nsinks: {}\n");
    for (name, guest) in [("fatal", "fatal"), ("letters", "poison")] {
        write(&format!("{name}.json"), &through(odd(guest).to_str().unwrap(), name, &file("in.txt")).to_string());
    }
    let run = |name: &str| run_in(folder.path(), Path::new(name));

    let failed = run("fatal.json");
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("cause: operator `it`"), "{}", text(&failed.stderr));

    let bad = run("bad.yaml");
    assert_eq!(bad.status.code(), Some(2));
    let said = text(&bad.stderr);
    assert!(said.contains("bad.yaml: line 5, column 5: unknown field `form`; did you mean `from`?"), "{said}");
    assert_eq!(run("nowhere.yaml").status.code(), Some(2));

    let letters = run("letters.json");
    assert_eq!(letters.status.code(), Some(0));
    assert!(text(&letters.stderr).contains("1 event could not be processed: see letters.dead-letters.jsonl"));
    assert_eq!(json_lines(&folder.path().join("letters.dead-letters.jsonl"))[0]["value"]["text"], "two poison");
    assert_eq!(std::fs::read_to_string(folder.path().join("letters.out")).unwrap(), "one\nthree\n");
}

#[test]
fn ctrl_c_stops_the_job_and_what_is_inside_flows_out() {
    let folder = tempfile::tempdir().unwrap();
    let document = copied("endless", &json!({"generator": {"rate": 1000}}), &"raw".into());
    std::fs::write(folder.path().join("endless.json"), document.to_string()).unwrap();
    let mut running = gristmill()
        .args(["run", "endless.json", "--progress", "none", "--report"])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let written = || std::fs::metadata(folder.path().join("endless.out")).map_or(0, |file| file.len());
    eventually("the first events are written", || (written() > 0).then_some(()));
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    eventually("the job stops", || running.try_wait().unwrap());
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    let report: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(report["state"], "STOPPED");
    let read = report["nodes"][0]["total"]["events_out"][0].as_u64().unwrap();
    let lines = std::fs::read_to_string(folder.path().join("endless.out")).unwrap().lines().count();
    assert_eq!(lines as u64, read, "all that was read is written");
}

#[test]
fn a_document_may_come_by_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.txt"), "one\n").unwrap();
    let mut running = gristmill().args(["run", "-"]).current_dir(folder.path()).stdin(Stdio::piped()).spawn().unwrap();
    let document = copied("piped", &file("in.txt"), &"raw".into());
    running.stdin.take().unwrap().write_all(document.to_string().as_bytes()).unwrap();
    assert!(running.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(folder.path().join("piped.out")).unwrap(), "one\n");
}

#[test]
fn a_dead_letter_keeps_bytes_that_are_no_text() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.txt"), b"fine\nnot poison \xff\n").unwrap();
    let document = through(odd("poison").to_str().unwrap(), "bytes", &file("in.txt"));
    std::fs::write(folder.path().join("bytes.json"), document.to_string()).unwrap();
    assert!(run_in(folder.path(), Path::new("bytes.json")).status.success());
    let letters = json_lines(&folder.path().join("bytes.dead-letters.jsonl"));
    assert_eq!(letters[0]["value"], json!({"base64": "bm90IHBvaXNvbiD/"}), "{}", letters[0]);
}

#[test]
fn with_json_the_last_line_on_standard_error_is_the_report_or_the_refusal() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.txt"), "one\n").unwrap();
    let mut document = copied("short", &file("in.txt"), &"raw".into());
    let mut run = || {
        std::fs::write(folder.path().join("short.json"), document.to_string()).unwrap();
        let output = gristmill().args(["--json", "run", "short.json"]).current_dir(folder.path()).output().unwrap();
        document["sinks"]["out"]["inputs"] = json!(["event"]);
        let said: Value = serde_json::from_str(text(&output.stderr).lines().last().unwrap()).unwrap();
        (output.status.code(), said)
    };
    let (code, report) = run();
    assert_eq!((code, &report["state"]), (Some(0), &"FINISHED".into()));
    let (code, refusal) = run();
    assert_eq!((code, &refusal["file"]), (Some(2), &"short.json".into()));
    assert_eq!(refusal["problems"][0]["at"], "sinks.out.inputs[0]", "{refusal}");
}

#[test]
fn a_module_file_that_is_not_there_is_told_with_its_operator_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let document = "version: 1\njob: j\nsources:\n  s:\n    from: {generator: {events: 1}}\noperators:\n  it:\n    \
                    module: ./nofile.wasm\n    inputs: {in: {from: s}}\nsinks:\n  o:\n    inputs: [it]\n    to: {blackhole: {}}\n";
    std::fs::write(folder.path().join("j.yaml"), document).unwrap();
    let said = text(&run_in(folder.path(), Path::new("j.yaml")).stderr);
    let expected = "j.yaml: line 8, column 13: operators.it.module: module file `./nofile.wasm` cannot be read: ";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_full_disk_is_told_and_a_second_ctrl_c_ends_what_cannot_flow_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = copied("stuck", &json!({"generator": {"rate": 1000}}), &"raw".into());
    document["sinks"]["out"]["to"]["file"]["path"] = "/dev/full".into();
    std::fs::write(folder.path().join("stuck.json"), document.to_string()).unwrap();
    let mut command = gristmill();
    command.args(["run", "stuck.json", "--progress", "none"]).current_dir(folder.path()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let interrupt = |id: u32| Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap();
    let mut said = BufReader::new(running.stderr.take().unwrap()).lines().map(Result::unwrap);
    // Whatever is said of progress, what keeps the job from going on is.
    let reason = said.next().expect("why nothing is written");
    assert!(reason.starts_with("[out] ") && reason.contains("No space left"), "{reason}");
    assert!(interrupt(running.id()).success());
    said.find(|line| line.contains("Once more cancels")).expect("what a second one would do");
    said.find(|line| line.contains("nothing has moved for 3 s")).expect("a word when it is stuck");
    assert!(interrupt(running.id()).success());
    said.for_each(drop);
    assert_eq!(running.wait().unwrap().code(), Some(130));
}
