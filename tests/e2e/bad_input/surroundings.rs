//! Files, ports and directories that are not as a host needs them.

use std::io::{BufRead, BufReader};
use std::process::Output;

use serde_json::json;

use crate::documents::{copied, file};
use crate::guests::odd;
use crate::host::{Host, gristmill, text};

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
    assert!(detail.contains("`out`") && detail.contains("blocker"), "{problem}");
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
    let job = host.json("/v1/jobs/full");
    let nodes = job["report"]["nodes"].as_array().unwrap();
    let retrying = &nodes.iter().find(|node| node["id"] == "out").unwrap()["total"]["retrying"];
    assert!(retrying["reason"].as_str().unwrap().contains("no room") && retrying["since_ms"].is_i64(), "{retrying}");
    assert_eq!(job["dead_letters"], 0);
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
fn a_directory_of_somebody_elses_files_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "all of it").unwrap();
    let said = second(&["--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()]);
    assert!(said.contains("is not a data directory: it holds `thesis.txt`"), "{said}");
    assert!(said.contains("choose a new or an empty directory"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_catalog_is_named_with_what_to_do() {
    let mut host = Host::start();
    assert!(host.terminate().success());
    std::fs::write(host.path("data/catalog.redb"), "no database").unwrap();
    let said = second(&["--listen", "127.0.0.1:0", "--data-dir", host.path("data").to_str().unwrap()]);
    assert!(said.contains("catalog.redb") && said.contains("move the file away and push the modules again"), "{said}");
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
