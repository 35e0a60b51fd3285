//! Sinks: files, standard output, and a server that is not always there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::documents::{copied, file, posted};
use crate::host::{Host, gristmill, text};

/// A request as the server saw it.
struct Request {
    idempotency_key: String,
    header: String,
    body: String,
}

/// A server that answers each of its first requests with the next of these statuses, and 200 from then on.
fn server(statuses: Vec<u16>) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/take", listener.local_addr().unwrap());
    let (seen, requests) = channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.into_iter();
        for connection in listener.incoming() {
            let connection = connection.unwrap();
            let request = read_request(&connection);
            let status = statuses.next().unwrap_or(200);
            let mut connection = connection;
            write!(connection, "HTTP/1.1 {status} so\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if seen.send(request).is_err() {
                return;
            }
        }
    });
    (url, requests)
}

fn read_request(connection: &TcpStream) -> Request {
    let mut reader = BufReader::new(connection);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => headers.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let lines = headers.iter().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let mut body = vec![0; header("content-length").expect("a length").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Request {
        idempotency_key: header("idempotency-key").unwrap_or_default(),
        header: header("x-from").unwrap_or_default(),
        body: text(&body),
    }
}

#[test]
fn a_server_that_fails_twice_gets_every_event_in_the_end() {
    let host = Host::start();
    let (url, requests) = server(vec![503, 429]);
    let events: Vec<String> = (0..25).map(|number| format!("{{\"n\":{number}}}")).collect();
    host.write("in.jsonl", events.join("\n"));
    let mut document = copied("job", &file("in.jsonl"), &"json".into());
    document["sinks"]["out"]["to"] = json!({"http": {"url": url, "batch": 10, "headers": {"x-from": "gristmill"}}});
    host.submit(&document.to_string());
    let job = host.wait_for("job", "FINISHED");
    assert_eq!(job["events_written"], 25);

    let requests: Vec<Request> = requests.try_iter().collect();
    assert!(requests.iter().all(|request| request.header == "gristmill" && !request.idempotency_key.is_empty()));
    let tried = |request: &Request| (request.idempotency_key.clone(), request.body.clone());
    assert_eq!(tried(&requests[0]), tried(&requests[1]), "the same request under the same key");
    assert_eq!(tried(&requests[0]), tried(&requests[2]));
    let taken = requests[2..].iter().flat_map(|request| request.body.lines());
    assert_eq!(taken.collect::<Vec<_>>(), events);
    assert!(requests[2..].iter().all(|request| request.body.lines().count() <= 10));
    let mut keys: Vec<_> = requests[2..].iter().map(|request| &request.idempotency_key).collect();
    keys.dedup();
    assert_eq!(keys.len(), requests.len() - 2, "each batch under a key of its own");
}

#[test]
fn a_run_whose_job_starts_again_from_a_checkpoint_goes_on_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = server([vec![200; 40], vec![503]].concat());
    let mut document = copied("job", &json!({"generator": {"rate": 300, "events": 900}}), &"raw".into());
    document["sinks"]["out"]["to"] = json!({"http": {"url": url, "batch": 10, "retry": 0}});
    document["checkpoint"] = json!({"every": "200ms"});
    document["restart"] = json!({"fixed": {"delay": "600ms"}});
    std::fs::write(folder.path().join("job.json"), document.to_string()).unwrap();
    let output = gristmill().args(["run", "job.json"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(requests.try_iter().count() > 41, "it went on behind the failure");
}

#[test]
fn a_server_that_refuses_fails_the_job_with_its_answer() {
    let host = Host::start();
    let (url, _requests) = server(vec![400]);
    host.write("in.jsonl", "{}\n");
    let mut document = copied("job", &file("in.jsonl"), &"json".into());
    document["sinks"]["out"]["to"] = json!({"http": {"url": url}});
    host.submit(&document.to_string());
    let job = host.wait_for("job", "FAILED");
    let cause = job["cause"].as_str().unwrap();
    assert!(cause.contains("sink `out`") && cause.contains("400"), "{cause}");
    host.assert_up();
}

#[test]
fn a_cancelled_job_does_not_wait_for_an_answer() {
    let host = Host::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/take", silent.local_addr().unwrap());
    host.write("in.jsonl", "{}\n");
    let mut document = copied("job", &file("in.jsonl"), &"json".into());
    document["sinks"]["out"]["to"] = json!({"http": {"url": url, "timeout": "25s"}});
    host.submit(&document.to_string());
    let (connection, _) = silent.accept().unwrap();
    read_request(&connection);
    let since = Instant::now();
    host.post("/v1/jobs/job/cancel").send().unwrap();
    host.wait_for("job", "CANCELLED");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[test]
fn one_event_that_is_no_row_of_the_table_costs_no_other() {
    let host = Host::start();
    host.write("in.txt", "{\"n\":1}\n{\"n\":2}\nno object\n{\"n\":4}\n{\"n\":5}\n");
    let mut document = copied("job", &file("in.txt"), &"raw".into());
    document["sinks"]["out"]["to"] = json!({"file": {"path": "job.csv", "encode": {"csv": {"columns": {"n": "$.n"}}}}});
    host.submit(&document.to_string());
    let job = host.wait_for("job", "FINISHED");
    assert_eq!(host.lines("job.csv"), ["n", "1", "2", "4", "5"]);
    assert_eq!((&job["events_written"], &job["dead_letters"]), (&4.into(), &1.into()));
    let letter = &host.letters("job")[0];
    assert_eq!((&letter["operator"], &letter["kind"]), (&"out".into(), &"encode".into()));
    assert_eq!(letter["value"]["text"], "no object");
}

#[test]
fn a_job_that_cannot_start_leaves_the_last_output_as_it_was() {
    let host = Host::start();
    host.write("job.out", "what the last run wrote\n");
    let (status, _) = host.try_submit(&copied("job", &file("nowhere.jsonl"), &"json".into()).to_string());
    assert_eq!(status, 422);
    assert_eq!(host.lines("job.out"), ["what the last run wrote"]);
}

#[test]
fn a_file_is_written_by_one_job_at_a_time() {
    let host = Host::start();
    let mut first = copied("first", &posted(), &"raw".into());
    first["sinks"]["out"]["to"]["file"]["path"] = "shared.out".into();
    host.submit(&first.to_string());
    host.wait_for("first", "RUNNING");
    let second = first.to_string().replace("\"first\"", "\"second\"");
    let (status, refused) = host.try_submit(&second);
    assert_eq!(status, 422);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("shared.out`: another sink, job or program is writing it"), "{detail}");
    host.stop("first");
    host.submit(&second);
    host.wait_for("second", "RUNNING");
}

#[test]
fn a_file_may_be_the_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.txt"), "one\ntwo\n").unwrap();
    let mut document = copied("job", &file("in.txt"), &"raw".into());
    document["sinks"]["out"]["to"]["file"]["path"] = "/dev/stdout".into();
    std::fs::write(folder.path().join("job.json"), document.to_string()).unwrap();
    let output = gristmill().args(["run", "job.json"]).current_dir(folder.path()).output().unwrap();
    assert_eq!((output.status.success(), text(&output.stdout).as_str()), (true, "one\ntwo\n"), "{output:?}");
}

#[test]
fn a_table_has_its_columns_in_the_order_of_the_document() {
    let host = Host::start();
    host.write("in.jsonl", "{\"id\":1,\"who\":{\"name\":\"a, \\\"b\\\"\"},\"at\":5}\n{\"id\":2,\"at\":6}\n");
    let document = "version: 1\njob: JOB\nsources:\n  in:\n    from: {file: {path: in.jsonl}}\n    decode: json\n    key: $.id\n\
        \x20   event_time: {path: $.at}\nsinks:\n  out:\n    inputs: [in]\n    to: {file: {path: new/folder/JOB.csv, encode: {csv: \
        {columns: {id: $.id, name: $.who.name, key: $key, at: $event_time}}}}}\n";
    host.submit(&document.replace("JOB", "by-rest"));
    host.wait_for("by-rest", "FINISHED");
    host.write("job.yaml", document.replace("JOB", "by-command"));
    host.cli_ok(&["job", "submit", "job.yaml", "--wait"]);
    for job in ["by-rest", "by-command"] {
        let rows = host.lines(&format!("new/folder/{job}.csv"));
        assert_eq!(rows, ["id,name,key,at", "1,\"a, \"\"b\"\"\",1,5", "2,,2,6"], "{job}");
    }
}

#[test]
fn standard_output_is_the_rows_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.txt"), "one\ntwo\n").unwrap();
    let mut document = copied("job", &file("in.txt"), &"raw".into());
    document["sinks"]["out"]["to"] = "stdout".into();
    std::fs::write(folder.path().join("job.json"), document.to_string()).unwrap();
    let output = gristmill().args(["run", "job.json"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "one\ntwo\n");
    assert!(text(&output.stderr).contains("2 events in, 2 out"));
}

#[test]
fn several_writers_write_a_file_each_and_together_everything() {
    let host = Host::start();
    let mut document = copied("job", &json!({"generator": {"events": 3000}}), &"raw".into());
    document["sinks"]["out"]["to"] = json!({"file": {"path": "part.txt"}});
    document["sinks"]["out"]["parallelism"] = 2.into();
    host.submit(&document.to_string());
    host.wait_for("job", "FINISHED");
    let mut all = [host.lines("part-0.txt"), host.lines("part-1.txt")].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3000);
}
