//! `kill -9` within swaps of a real host: each is made or undone when the next one is up, never by halves, and its operation
//! says which.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::documents::{often, posted, through};
use crate::guests::odd;
use crate::host::{Host, eventually};
use crate::jobs::done;
use crate::swapping::{SWAP, ask, module};

const TALLIES: [&str; 2] = ["tally@1", "tally-timed@1"];

/// A host whose job counts by key, with two modules for that which keep their counts in different schemas.
fn tallying(backend: &str) -> Host {
    let host = Host::start();
    for guest in ["tally", "tally-timed", "spin", "echo"] {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    host.submit(&document(backend).to_string());
    host.wait_for("job", "RUNNING");
    host
}

fn document(backend: &str) -> Value {
    let mut document = often(through(TALLIES[0], "job", &posted()));
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.key".into();
    document["operators"]["it"]["parallelism"] = 2.into();
    document["checkpoint"]["backend"] = backend.into();
    document["restart"] = json!({"fixed": {"delay": "10ms", "attempts": 100}});
    let columns = json!({"csv": {"columns": {"key": "$key", "n": "$"}}});
    document["sinks"]["out"]["to"] = json!({"file": {"path": "job.csv", "encode": columns}});
    document
}

/// One event for each of so many keys.
fn feed(host: &Host, keys: usize) {
    host.feed("job", &(0..keys).map(|key| format!("{{\"key\":\"k{key}\"}}\n")).collect::<String>());
}

/// Waits until each of so many keys has so many counts, which rise one by one.
fn all_is_counted(host: &Host, keys: usize, rounds: u64) {
    eventually("all is committed", || (host.lines("job.csv").len() > keys * rounds as usize).then_some(()));
    let mut seen: HashMap<String, u64> = HashMap::new();
    for line in host.lines("job.csv").iter().skip(1) {
        let (key, count) = line.split_once(',').unwrap();
        let before = seen.insert(key.to_owned(), count.parse().unwrap()).unwrap_or(0);
        assert_eq!(count, (before + 1).to_string(), "the counts of {key} rise one by one");
    }
    assert_eq!((seen.len(), seen.values().all(|count| *count == rounds)), (keys, true));
}

/// The stages in the order in which a swap goes through them that is taken back.
const STAGES: [&str; 6] = ["preparing", "prepared", "switching", "switched", "probation", "undoing"];

fn looked_at(host: &Host, operation: &Value) -> (Value, usize) {
    let seen = host.json(&format!("/v1/operations/{}", operation["id"].as_str().unwrap()));
    let place = STAGES.iter().position(|stage| seen["detail"]["stage"] == *stage);
    // It is over.
    let place = place.unwrap_or(if seen["status"] == "RUNNING" { 0 } else { STAGES.len() });
    (seen, place)
}

#[test]
fn a_kill_in_any_stage_leaves_a_swap_made_or_undone_and_its_operation_says_which() {
    let mut host = tallying("memory");
    let mut rounds = 0;
    for (at, stage) in STAGES.iter().enumerate() {
        feed(&host, 300);
        rounds += 1;
        let runs = module(&host);
        let to = if runs == TALLIES[0] { TALLIES[1] } else { TALLIES[0] };
        let operation = eventually("what came before is rewritten", || {
            let (status, answer) = ask(&host, &json!({"module": to, "probation": {"time": "10m"}}));
            (status == 202).then_some(answer)
        });
        let way_back = (*stage == "undoing").then(|| {
            eventually("it is on probation", || (looked_at(&host, &operation).1 >= at - 1).then_some(()));
            host.post(&format!("{SWAP}/rollback")).send().unwrap().json::<Value>().unwrap()
        });
        eventually(stage, || (looked_at(&host, &operation).1 >= at).then_some(()));
        host = host.kill_and_restart();
        host.wait_for("job", "RUNNING");
        let ended = done(&host, &operation);
        let is_made = ended["status"] == "SUCCEEDED";
        let says = if is_made { "done" } else { "undone" };
        assert_eq!(ended["detail"]["stage"], says, "killed in {stage}: {ended}");
        assert_eq!(module(&host), if is_made { json!(to) } else { runs }, "killed in {stage}: {ended}");
        if let Some(way_back) = way_back {
            let ended = done(&host, &way_back);
            assert_eq!(ended["status"], if is_made { "FAILED" } else { "SUCCEEDED" }, "killed in {stage}: {ended}");
        }
        feed(&host, 300);
        rounds += 1;
        all_is_counted(&host, 300, rounds);
    }
    assert_eq!(host.letters("job").len(), 0);
}

#[test]
fn a_kill_while_state_is_rewritten_goes_on_with_that() {
    for backend in ["memory", "rocksdb"] {
        let host = tallying(backend);
        feed(&host, 40_000);
        all_is_counted(&host, 40_000, 1);
        let (status, operation) = ask(&host, &json!({"module": TALLIES[1], "probation": {"time": "10m"}}));
        assert_eq!(status, 202, "{operation}");
        eventually("some keys are rewritten", || {
            (looked_at(&host, &operation).0["detail"]["rewriting"]["keys"].as_u64() > Some(0)).then_some(())
        });
        let host = host.kill_and_restart();
        host.wait_for("job", "RUNNING");
        let ended = done(&host, &operation);
        assert_eq!((&ended["status"], module(&host)), (&json!("SUCCEEDED"), json!(TALLIES[1])), "{ended}");
        feed(&host, 40_000);
        all_is_counted(&host, 40_000, 2);
        // Back again: refused until nothing of the first schema is left.
        eventually("all is rewritten", || {
            (ask(&host, &json!({"module": TALLIES[0], "probation": {"time": "0s"}})).0 == 202).then_some(())
        });
        eventually("the first version runs again", || (module(&host) == TALLIES[0]).then_some(()));
        feed(&host, 40_000);
        all_is_counted(&host, 40_000, 3);
    }
}

/// The way back of a swap between two schemas needs a checkpoint, and none comes through an operator that is stuck.
#[test]
fn a_swap_that_cannot_go_back_makes_room_for_a_restart_that_frees_the_job() {
    let host = Host::start();
    for guest in ["tally", "tally-timed", "spin", "echo"] {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    let mut document = document("memory");
    // One of the clock's would stand in the way of the swap's: neither comes through the gate.
    document["checkpoint"]["every"] = "never".into();
    let gate = json!({"module": "spin@1", "inputs": {"in": {"from": "events"}}, "limits": {"call": "10m"}});
    document["operators"]["gate"] = gate;
    document["operators"]["it"]["inputs"]["in"]["from"] = "gate".into();
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    // What the new version is tried on.
    host.cli_ok(&["job", "checkpoint", "job", "--wait"]);
    feed(&host, 10);
    host.wait_until("job", "events_read", 10);
    let first = eventually("one waits for its way back", || {
        let (status, one) = ask(&host, &json!({"module": TALLIES[1], "deadline": "500ms"}));
        assert_eq!(status, 202, "{one}");
        // One whose deadline is over before its barrier is out has nothing to go back from: then another one is made.
        eventually("its deadline is over", || {
            let seen = looked_at(&host, &one).0;
            let has_ended = seen["status"] == "FAILED";
            (has_ended || seen["detail"]["stage"] == "undoing").then_some(!has_ended)
        })
        .then_some(one)
    });
    let restart = json!({"module": "echo@1", "mode": "restart"});
    let answer = host.post(&SWAP.replace("/it/", "/gate/")).json(&restart).send().unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().unwrap());
    let second = done(&host, &answer.json().unwrap());
    assert_eq!(second["status"], "SUCCEEDED", "{second}");
    let first = done(&host, &first);
    assert_eq!((&first["status"], &first["detail"]["stage"]), (&json!("FAILED"), &json!("undone")), "{first}");
    assert!(first["detail"]["cause"].as_str().unwrap().contains("`mode: restart`"), "{first}");
    assert_eq!(module(&host), TALLIES[0]);
    host.cli_ok(&["job", "checkpoint", "job", "--wait"]);
    all_is_counted(&host, 10, 1);
}

#[test]
fn neither_module_of_a_swap_is_deleted_while_it_may_run() {
    let host = tallying("memory");
    feed(&host, 10);
    all_is_counted(&host, 10, 1);
    let (_, operation) = ask(&host, &json!({"module": TALLIES[1], "probation": {"time": "10m"}}));
    eventually("it is on probation", || (looked_at(&host, &operation).1 >= 4).then_some(()));
    for module in TALLIES {
        let refused = host.delete(&format!("/v1/modules/{module}"));
        assert_eq!(refused.status(), 409, "{module}");
    }
    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    assert_eq!(done(&host, &operation)["status"], "SUCCEEDED");
    assert_eq!(host.delete("/v1/modules/spin@1").status(), 200, "nobody needs it");
    // Checkpoints of the time before it name the old one, until newer ones take their places.
    eventually("nothing names it any more", || {
        let answer = host.delete(&format!("/v1/modules/{}", TALLIES[0]));
        let (status, answer): (u16, Value) = (answer.status().as_u16(), answer.json().unwrap());
        assert!(status == 200 || answer["detail"].as_str().unwrap().contains("named by checkpoint"), "{answer}");
        host.cli_ok(&["job", "checkpoint", "job", "--wait"]);
        (status == 200).then_some(())
    });
}
