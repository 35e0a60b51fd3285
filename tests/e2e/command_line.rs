//! The command line: a client of the API, for people and, with `--json`, for programs.

use serde_json::Value;

use crate::documents::{file, posted, through};
use crate::guests::odd;
use crate::host::{Host, gristmill, text};

#[test]
fn the_command_line_pushes_lists_describes_and_deletes() {
    let host = Host::start();
    let file = odd("echo");
    let file = file.to_str().unwrap();
    assert!(host.cli_ok(&["module", "push", file, "--dry-run"]).starts_with("would be admitted"));
    assert!(host.cli_ok(&["module", "push", file, "--name", "echo@1"]).starts_with("echo@1 uploaded"));
    assert!(host.cli_ok(&["module", "list"]).contains("echo@1"));
    let shown = host.cli_ok(&["module", "inspect", "echo@1"]);
    assert!(shown.contains("inputs   in") && shown.contains("outputs  out"), "{shown}");
    let as_json: Value = serde_json::from_str(&host.cli_ok(&["--json", "module", "inspect", "echo@1"])).unwrap();
    assert_eq!(as_json["names"][0], "echo@1");
    host.cli_ok(&["module", "delete", "echo@1"]);
    let gone = host.cli(&["module", "inspect", "echo@1"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(text(&gone.stderr).contains("there is no module `echo@1`"));
}

#[test]
fn the_command_line_submits_waits_and_steers() {
    let host = Host::start();
    host.write("in.txt", "one\ntwo\n");
    let module = odd("echo");
    let module = module.to_str().unwrap();
    host.write("short.json", through(module, "short", &file("in.txt")).to_string());
    host.write("long.json", through(module, "long", &posted()).to_string());

    assert!(host.cli_ok(&["job", "check", "short.json"]).contains("no errors"));
    assert!(host.cli_ok(&["job", "submit", "short.json", "--dry-run"]).contains("would run"));
    assert!(
        host.cli_ok(&["job", "submit", "short.json", "--wait"]).contains("job short is FINISHED: 2 events in, 2 out")
    );
    host.cli_ok(&["job", "submit", "long.json"]);
    host.wait_for("long", "RUNNING");
    host.cli_ok(&["job", "pause", "long"]);
    host.wait_for("long", "PAUSED");
    host.cli_ok(&["job", "resume", "long"]);
    let listed = host.cli_ok(&["job", "list"]);
    assert!(listed.contains("long") && listed.contains("FINISHED"), "{listed}");
    assert!(host.cli_ok(&["job", "stop", "long", "--wait"]).contains("SUCCEEDED"));
    assert!(host.cli_ok(&["job", "inspect", "long"]).contains("job long is STOPPED"));
    host.cli_ok(&["job", "delete", "long"]);
    assert!(!host.cli_ok(&["job", "list"]).contains("long"));
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

#[test]
fn a_host_that_is_not_there_is_named_with_how_to_start_one() {
    let listed = gristmill().args(["--host", "http://127.0.0.1:9", "job", "list"]).output().unwrap();
    assert_eq!(listed.status.code(), Some(2));
    let said = text(&listed.stderr);
    assert!(said.contains("http://127.0.0.1:9") && said.contains("gristmill serve"), "{said}");
}

#[test]
fn shells_can_complete_it() {
    for shell in ["bash", "zsh", "fish"] {
        let script = gristmill().args(["completions", shell]).output().unwrap();
        assert!(script.status.success() && text(&script.stdout).contains("dead-letters"), "{shell}");
    }
}
