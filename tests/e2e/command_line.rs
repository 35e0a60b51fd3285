//! The command line: a client of the API, for people and, with `--json`, for programs.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::documents::{copied, file, often, posted, through};
use crate::guests::odd;
use crate::host::{Host, eventually, gristmill, text};

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
    assert!(host.cli_ok(&["job", "stop", "long", "--wait"]).contains("stop-job SUCCEEDED: job long is STOPPED"));
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

#[test]
fn a_cancelled_job_is_told_as_what_was_asked_for() {
    let host = Host::start();
    host.write("long.json", copied("long", &posted(), &"raw".into()).to_string());
    host.cli_ok(&["job", "submit", "long.json"]);
    let said = host.cli_ok(&["job", "cancel", "long", "--wait"]);
    assert_eq!(said, "cancel-job SUCCEEDED: job long is CANCELLED\n");
}

#[test]
fn a_name_never_leads_to_another_thing_than_it_says() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    for wrong in
        [&["job", "delete", "../modules/echo@1"][..], &["job", "tap", "a", "../b"], &["module", "delete", "../jobs/a"]]
    {
        let refused = host.cli(wrong);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(&format!("`{}` is not a", wrong.last().unwrap())), "{wrong:?}");
    }
    assert!(host.cli_ok(&["module", "list"]).contains("echo@1"));
}

#[test]
fn a_tap_ends_when_its_reader_leaves() {
    let host = Host::start();
    host.submit(&copied("endless", &json!({"generator": {"rate": 1000}}), &"raw".into()).to_string());
    let mut tap = gristmill();
    tap.args(["--host", &host.address, "job", "tap", "endless", "events"]);
    let mut tap = tap.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(tap.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(eventually("the tap ends", || tap.try_wait().unwrap()).code(), Some(141));
    assert_eq!(text(&tap.wait_with_output().unwrap().stderr), "", "a reader that leaves is no error");
}

#[test]
fn what_cannot_be_printed_is_a_failure() {
    let host = Host::start();
    for arguments in [&["--json", "job", "list"][..], &["completions", "bash"]] {
        let mut command = gristmill();
        command.args(["--host", &host.address]).args(arguments);
        let output = command.stdout(File::create("/dev/full").unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("writing to standard output: No space left"), "{arguments:?}");
    }
}

#[test]
fn with_json_a_refusal_is_json_in_the_place_of_the_result() {
    let host = Host::start();
    let json = |arguments: &[&str]| -> Value {
        let output = host.cli(&[&["--json"], arguments].concat());
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), String::new()));
        serde_json::from_str(&text(&output.stdout)).unwrap()
    };
    assert_eq!(json(&["job", "inspect", "none"])["code"], "not-found");
    assert!(json(&["job", "submit", "none.yaml"])["detail"].as_str().unwrap().contains("none.yaml"));
    let hint = text(&host.cli(&["job", "inspect", "none"]).stderr);
    assert!(hint.contains("`gristmill job list`") && !hint.contains("/v1/"), "{hint}");
}

#[test]
fn findings_of_the_host_have_their_place_in_the_file() {
    let host = Host::start();
    let document = "version: 1\njob: j\nsources:\n  s:\n    from: {generator: {events: 1}}\noperators:\n  it:\n    \
                    module: none@1\n    inputs: {in: {from: s}}\nsinks:\n  o:\n    inputs: [it]\n    to: {blackhole: {}}\n";
    host.write("j.yaml", document);
    let dry = host.cli(&["--json", "job", "submit", "--dry-run", "j.yaml"]);
    let dry: Value = serde_json::from_str(&text(&dry.stdout)).unwrap();
    assert_eq!((&dry["problems"][0]["line"], &dry["problems"][0]["column"]), (&8.into(), &13.into()));

    let said = text(&host.cli(&["job", "submit", "j.yaml"]).stderr);
    assert!(
        said.contains("j.yaml cannot run as written\n  line 8, column 13: operators.it.module: there is no"),
        "{said}"
    );
    assert_eq!((said.matches("line ").count(), said.matches("upload it first").count()), (1, 1), "{said}");
}

#[test]
fn a_dry_run_says_which_modules_it_leaves_on_the_host() {
    let host = Host::start();
    let document = through(odd("echo").to_str().unwrap(), "dry", &posted());
    host.write("dry.json", document.to_string());
    let said = |arguments: &[&str]| text(&host.cli(arguments).stderr);
    assert!(said(&["job", "submit", "--dry-run", "dry.json"]).contains("uploaded now; it stays on the host"));
    assert!(!said(&["job", "submit", "--dry-run", "dry.json"]).contains("uploaded now"), "it is there already");
}

#[test]
fn a_replay_is_told_in_words() {
    let host = Host::start();
    host.push(&odd("poison"), "poison@1");
    host.submit(&often(through("poison@1", "job", &posted())).to_string());
    host.feed("job", "poison a\npoison b\n");
    host.wait_decided("job", 2);
    let said = host.cli_ok(&["job", "dead-letters", "job", "--replay"]);
    assert_eq!(said, "replay-dead-letters SUCCEEDED: 2 put back\n");
}

#[test]
fn a_log_in_a_file_has_no_colours() {
    let log = Host::start().log();
    assert!(log.contains("gristmill listens") && !log.contains('\x1b'), "{log}");
}
