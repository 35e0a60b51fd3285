//! Checkpoints on a real S3 server: state and output survive kill -9, and an outage of the storage.

use tempfile::TempDir;

use crate::documents::{often, posted, through};
use crate::guests::example;
use crate::host::{Host, eventually};
use crate::s3_server::S3Server;

fn start(server: &S3Server, folder: TempDir) -> Host {
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let environment =
        [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let place = folder.path().to_owned();
    Host::start_under(&environment, &place, folder, &["--checkpoints", "s3://checkpoints/team"])
}

/// A job that counts the words that are posted, with a checkpoint every moment.
fn counting(host: &Host) {
    host.push(&example("word-count"), "word-count@1");
    let mut document = often(through("word-count@1", "job", &posted()));
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
}

fn feed(host: &Host, events: usize) {
    let lines: Vec<&str> = (0..events).map(|_| "{\"word\":\"a\"}").collect();
    host.feed("job", &lines.join("\n"));
}

fn counted(host: &Host, events: usize) {
    let expected: Vec<String> = (1..=events).map(|number| format!("a {number}")).collect();
    eventually("all is committed", || (host.lines("job.out").len() >= events).then_some(()));
    assert_eq!(host.lines("job.out"), expected, "each once, and in order");
}

#[test]
fn a_job_whose_checkpoints_lie_in_object_storage_survives_kills() {
    let server = S3Server::start();
    let mut host = start(&server, tempfile::tempdir().unwrap());
    counting(&host);
    for round in 0..3 {
        // The kill comes in the middle of the second half, wherever its checkpoints are.
        feed(&host, 50);
        counted(&host, round * 100 + 50);
        feed(&host, 50);
        host = start(&server, host.kill());
        host.wait_for("job", "RUNNING");
        counted(&host, round * 100 + 100);
    }
    host.stop("job");
    counted(&host, 300);
}

#[test]
fn object_storage_that_is_away_for_a_while_costs_nothing_but_time() {
    let mut server = S3Server::start();
    let host = start(&server, tempfile::tempdir().unwrap());
    counting(&host);
    feed(&host, 100);
    counted(&host, 100);
    server.stop();
    feed(&host, 100);
    eventually("a checkpoint waits for its storage", || host.log().contains("storing is tried again").then_some(()));
    server.start_again();
    counted(&host, 200);
    host.stop("job");
    counted(&host, 200);
}

#[test]
fn a_savepoint_in_object_storage_is_taken_looked_at_begun_from_and_deleted() {
    let server = S3Server::start();
    let host = start(&server, tempfile::tempdir().unwrap());
    counting(&host);
    feed(&host, 3);
    counted(&host, 3);
    host.cli_ok(&["job", "pause", "job"]);
    feed(&host, 1);
    host.cli_ok(&["savepoint", "create", "job", "--name", "before", "--wait"]);
    host.cli_ok(&["job", "resume", "job"]);
    let seen = host.json("/v1/jobs/job/savepoints/before");
    assert_eq!((&seen["entries"], &seen["nodes"][0]["tail"]["events"]), (&1.into(), &1.into()), "{seen:#}");
    assert!(host.cli_ok(&["savepoint", "verify", "job", "before"]).contains("SUCCEEDED"));
    counted(&host, 4);
    host.stop("job");
    let told = host.cli_ok(&["state", "diff", "job/before", "job@newest"]);
    assert!(told.ends_with("differing: 1\n"), "{told}");

    // Another host has nothing but the storage.
    let there = start(&server, tempfile::tempdir().unwrap());
    there.push(&example("word-count"), "word-count@1");
    let mut document = often(through("word-count@1", "fork", &posted()));
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    there.write("fork.json", document.to_string());
    there.cli_ok(&["job", "submit", "fork.json", "--savepoint", "job/before"]);
    eventually("the tail is committed", || (there.lines("fork.out") == ["a 4"]).then_some(()));
    // From its first checkpoint on it needs the savepoint no more.
    there.cli_ok(&["savepoint", "delete", "job", "before"]);
    assert_eq!(there.json("/v1/savepoints")["savepoints"], serde_json::json!([]));
    assert!(!there.cli(&["savepoint", "inspect", "job", "before"]).status.success());
    let there = start(&server, there.kill());
    there.wait_for("fork", "RUNNING");
    there.feed("fork", "{\"word\":\"a\"}");
    eventually("it goes on", || (there.lines("fork.out") == ["a 4", "a 5"]).then_some(()));
    there.stop("fork");
}
