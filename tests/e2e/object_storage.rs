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
