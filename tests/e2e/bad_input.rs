//! Bad input: each gets a status, a code and a sentence that says what to do; nothing is lost, the host stays up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Output;

use serde_json::{Value, json};

use crate::documents::{copied, file, through};
use crate::guests::{example, odd};
use crate::host::{Host, gristmill, text};

/// Submits a document that cannot run; gives the one thing that is wrong with it.
fn refused(host: &Host, document: &str) -> Value {
    let (status, problem) = host.try_submit(document);
    assert_eq!((status, &problem["code"]), (422, &"bad-document".into()), "{problem}");
    let problems = problem["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problem}");
    assert_eq!(host.json("/v1/jobs")["jobs"], json!([]), "nothing is left of it");
    host.assert_up();
    problems[0].clone()
}

/// Checks line and column, the words of the sentence, and the words of what to do.
fn says(problem: &Value, place: (u64, u64), message: &str, hint: &str) {
    assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(place.0), Some(place.1)), "{problem}");
    assert!(problem["message"].as_str().unwrap().contains(message), "{problem}");
    assert!(problem["hint"].as_str().unwrap_or_default().contains(hint), "{problem}");
}

#[test]
fn an_unknown_field_is_named_with_its_place_and_the_nearest_known_one() {
    let document = "version: 1\njob: bad\nsources:\n  in:\n    form: {generator: {events: 1}}\nsinks:\n  out: {inputs: [in], to: stdout}\n";
    says(&refused(&Host::start(), document), (5, 5), "unknown field `form`", "did you mean `from`?");
}

#[test]
fn an_id_that_stands_twice_is_named_with_its_place() {
    let document = "version: 1\njob: bad\nsources:\n  in: {from: {generator: {events: 1}}}\n  in: {from: {generator: {events: 2}}}\nsinks:\n  out: {inputs: [in], to: stdout}\n";
    says(&refused(&Host::start(), document), (5, 3), "`in` stands here twice", "rename one of the two");
}

#[test]
fn operators_that_feed_each_other_in_a_ring_are_named() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let document = "version: 1\njob: bad\nsources:\n  in: {from: {generator: {events: 1}}}\noperators:\n\
        \x20 a: {module: echo@1, inputs: {in: {from: [in, b]}}}\n  b: {module: echo@1, inputs: {in: {from: a}}}\n\
        sinks:\n  out: {inputs: [b], to: stdout}\n";
    let (status, problem) = host.try_submit(document);
    assert_eq!(status, 422);
    let ring = &problem["problems"][0];
    assert!(ring["message"].as_str().unwrap().contains("in a ring"), "{problem}");
    assert!(["a → b → a", "b → a → b"].iter().any(|way| ring["message"].as_str().unwrap().contains(way)), "{problem}");
    assert!(
        ring["hint"].as_str().unwrap().contains("take one of these edges out") && ring["line"].is_u64(),
        "{problem}"
    );
    host.assert_up();
}

#[test]
fn a_module_that_was_never_uploaded_is_named_with_the_nearest_or_with_what_to_do() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let document = |module| {
        format!(
            "version: 1\njob: bad\nsources:\n  in: {{from: {{generator: {{events: 1}}}}}}\noperators:\n\
            \x20 it:\n    module: {module}\n    inputs: {{in: {{from: in}}}}\nsinks:\n  out: {{inputs: [it], to: stdout}}\n"
        )
    };
    let near = refused(&host, &document("ehco@1"));
    assert!(near["line"] == 7 && near["message"] == "there is no module `ehco@1`", "{near}");
    assert_eq!(near["hint"], "did you mean `echo@1`?");
    let far = refused(&host, &document("enrich@1.2.0"));
    assert!(far["hint"].as_str().unwrap().contains("gristmill module push FILE --name enrich@1.2.0"), "{far}");
    let path = refused(&host, &document("./echo.wasm"));
    assert!(path["hint"].as_str().unwrap().contains("gristmill module push"), "{path}");
}

#[test]
fn parameters_that_do_not_fit_are_named_by_their_path() {
    let host = Host::start();
    host.push(&odd("slow"), "slow@1");
    let mut document = through("slow@1", "bad", &json!({"generator": {"events": 1}}));
    document["operators"]["it"]["parameters"] = json!({"rounds": "many"});
    let problem = refused(&host, &serde_json::to_string_pretty(&document).unwrap());
    assert_eq!(problem["at"], "operators.it.parameters");
    assert!(
        problem["message"].as_str().unwrap().contains("parameter `/rounds`") && problem["line"].is_u64(),
        "{problem}"
    );
}

#[test]
fn a_stateful_operator_without_a_key_is_told_how_to_get_one() {
    let host = Host::start();
    host.push(&example("word-count"), "count@1");
    let problem = refused(&host, &through("count@1", "bad", &json!({"generator": {"events": 1}})).to_string());
    assert!(problem["hint"].as_str().unwrap().contains("add `key_by`"), "{problem}");
}

#[test]
fn bytes_that_are_no_whole_module_are_refused_with_what_they_are() {
    let host = Host::start();
    let whole = std::fs::read(odd("echo")).unwrap();
    let table: [(&[u8], &str, &str); 5] = [
        (b"#!/bin/sh\necho hello\n", "not-wasm", "it begins with \"#!/bin/s\""),
        (b"(module)", "not-wasm", "text format"),
        (b"", "not-wasm", "upload a .wasm file"),
        (&whole[..whole.len() / 2], "truncated", "upload the whole file"),
        (b"\0asm\x01\0\0\0", "no-component-types", "build it with wit-bindgen or the SDK"),
    ];
    for (bytes, code, sentence) in table {
        let answer = host.post("/v1/modules?name=it@1").body(bytes.to_vec()).send().unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (422, "application/problem+json")
        );
        let problem: Value = answer.json().unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(sentence), "{problem}");
    }
    assert_eq!(host.json("/v1/modules")["modules"], json!([]));
    host.assert_up();
}

#[test]
fn an_upload_of_a_gibibyte_is_refused_before_it_is_sent() {
    let host = Host::start();
    let mut connection = TcpStream::connect(host.address.trim_start_matches("http://")).unwrap();
    let head = "POST /v1/modules?name=huge@1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/wasm\r\n\
        content-length: 1073741824\r\n\r\n";
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !text(&answer).contains("\r\n\r\n") || !text(&answer).ends_with('}') {
        let mut block = [0; 4096];
        let count = connection.read(&mut block).unwrap();
        assert!(count > 0, "{}", text(&answer));
        answer.extend_from_slice(&block[..count]);
    }
    let answer = text(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let problem: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(problem["code"], "too-large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("1073741824 bytes") && !problem["hint"].as_str().unwrap().is_empty(), "{problem}");
    host.assert_up();
}

#[test]
fn a_sink_that_cannot_be_written_stops_the_job_and_not_the_host() {
    let host = Host::start();
    host.write("in.txt", "one\n");
    host.write("blocker", "a file, not a folder");
    let mut document = copied("bad", &file("in.txt"), &"raw".into());
    document["sinks"]["out"]["to"]["file"]["path"] = "blocker/out.jsonl".into();
    let (status, problem) = host.try_submit(&document.to_string());
    assert_eq!((status, &problem["code"]), (422, &"cannot-start".into()), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`out`") && detail.contains("blocker/out.jsonl"), "{problem}");
    host.assert_up();
}

#[test]
fn a_full_disk_holds_the_job_back_and_says_so() {
    let host = Host::start();
    let mut document = copied("full", &json!({"generator": {"events": 100_000}}), &"raw".into());
    document["sinks"]["out"]["to"]["file"]["path"] = "/dev/full".into();
    host.submit(&document.to_string());
    let mut lines = BufReader::new(host.get("/v1/jobs/full/events")).lines().map(Result::unwrap);
    let retrying = lines.find(|line| line.contains("\"kind\":\"retrying\"")).expect("the job tells what it waits for");
    assert!(retrying.contains("no room to write `/dev/full`") && retrying.contains("free some space"), "{retrying}");
    assert_eq!(host.json("/v1/jobs/full")["dead_letters"], 0);
    host.post("/v1/jobs/full/cancel").send().unwrap();
    host.wait_for("full", "CANCELLED");
    host.assert_up();
}

/// Starts a second host that cannot start; gives what it said.
fn second(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = gristmill().arg("serve").args(arguments).output().unwrap();
    assert_eq!(status.code(), Some(2), "{}", text(&stderr));
    text(&stderr)
}

#[test]
fn a_port_in_use_is_named_with_another_to_take() {
    let host = Host::start();
    let address = host.address.trim_start_matches("http://");
    let other = host.path("other");
    let said = second(&["--listen", address, "--data-dir", other.to_str().unwrap()]);
    assert!(
        said.contains(&format!("another process listens at {address} already")) && said.contains("--listen"),
        "{said}"
    );
    host.assert_up();
}

#[test]
fn a_data_directory_in_use_is_named_with_its_owner() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let data = host.path("data");
    let said = second(&["--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
    assert!(said.contains("is in use by another host (pid ") && said.contains("choose another directory"), "{said}");
    assert_eq!(host.json("/v1/modules/echo@1")["names"][0], "echo@1");
}

#[test]
fn a_data_directory_of_another_version_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let format = folder.path().join("FORMAT");
    std::fs::write(&format, "gristmill data 999\n").unwrap();
    let said = second(&["--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()]);
    assert!(said.contains("is of another version: it says `gristmill data 999`"), "{said}");
    assert!(said.contains("run the version of gristmill that made it"), "{said}");
    assert_eq!(std::fs::read_to_string(format).unwrap(), "gristmill data 999\n");
}

#[test]
fn the_command_line_shows_the_line_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let document = "version: 1\njob: bad\nsources:\n  in:\n    form: {generator: {events: 1}}\nsinks: {}\n";
    std::fs::write(folder.path().join("bad.yaml"), document).unwrap();
    let check = gristmill().args(["job", "check", "bad.yaml"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(check.status.code(), Some(2));
    let said = text(&check.stderr);
    assert!(said.contains("5 |     form: {generator"), "{said}");
    assert!(said.contains("  |     ^"), "{said}");
}
