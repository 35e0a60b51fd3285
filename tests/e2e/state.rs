//! State of real guests in a real host: shown in the module's own words, edited, across kill -9.

use serde_json::{Value, json};

use crate::documents::{posted, through};
use crate::guests::{example, odd};
use crate::host::{Host, eventually};

/// A host whose job counts posted words by two subtasks. Nobody makes a checkpoint unless asked.
fn counting() -> Host {
    let host = Host::start();
    host.push(&example("word-count"), "word-count@1");
    let mut document = through("word-count@1", "job", &posted());
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    document["operators"]["it"]["parallelism"] = 2.into();
    document["checkpoint"] = json!({"every": "never"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host
}

fn say(host: &Host, words: &[&str]) {
    let lines: Vec<String> = words.iter().map(|word| json!({"word": word}).to_string()).collect();
    host.feed("job", &lines.join("\n"));
}

fn count_of(host: &Host, word: &str) -> Value {
    let found = host.json(&format!("/v1/jobs/job/operators/it/state/count?key={word}"));
    found["entries"][0]["value"]["json"].clone()
}

fn counts_to(host: &Host, word: &str, count: u64) {
    eventually(&format!("`{word}` is counted {count} times"), || (count_of(host, word) == count).then_some(()));
}

#[test]
fn a_count_is_looked_at_edited_and_counted_on_across_a_kill() {
    let host = counting();
    say(&host, &["to", "be", "or", "not", "to", "be"]);
    counts_to(&host, "to", 2);
    assert_eq!(host.cli_ok(&["state", "get", "job", "it", "count", "--key", "to"]).trim(), "it.count of to: 2");
    assert_eq!(host.cli_ok(&["state", "get", "job", "it", "count", "--key", "no"]).trim(), "it.count of no: nothing");
    let words = host.cli_ok(&["state", "set", "job", "it", "count", "--key", "to", "--value", "40"]);
    assert!(words.contains("edit-state SUCCEEDED: checkpoint 1: it.count of to"), "{words}");

    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    counts_to(&host, "to", 40);
    say(&host, &["to"]);
    counts_to(&host, "to", 41);
    let words = host.cli_ok(&["state", "delete", "job", "it", "count", "--key", "be"]);
    assert!(words.contains("edit-state SUCCEEDED"), "{words}");
    say(&host, &["be"]);
    counts_to(&host, "be", 1);
    host.stop("job");
    let lines = host.lines("job.out");
    for line in ["to 41", "be 2", "be 1"] {
        assert!(lines.iter().any(|one| one == line), "{line}: {lines:?}");
    }
    let audit = host.cli_ok(&["--json", "audit"]);
    assert!(audit.contains("state/count?key=to") && audit.contains("\"values\""), "{audit}");
}

#[test]
fn a_state_is_listed_scanned_and_counted_from_the_command_line() {
    let host = counting();
    say(&host, &["to", "be", "or", "not", "to", "be"]);
    counts_to(&host, "not", 1);
    let listed = host.cli_ok(&["state", "list", "job", "it"]);
    assert!(listed.contains("4 keys") && listed.contains("count") && listed.contains("value"), "{listed}");
    let refused = host.cli(&["state", "scan", "job", "it", "count"]);
    assert!(!refused.status.success(), "there is no checkpoint yet");
    let counted = host.cli_ok(&["state", "count", "job", "it", "count", "--fresh"]);
    assert!(counted.starts_with("4 keys, 4 entries"), "{counted}");
    let scanned = host.cli_ok(&["state", "scan", "job", "it", "count"]);
    let mut lines: Vec<&str> = scanned.lines().filter(|line| !line.starts_with("checkpoint")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["be: 2", "not: 1", "or: 1", "to: 2"]);
    let page = host.cli_ok(&["state", "scan", "job", "it", "count", "--limit", "3"]);
    let next = page.lines().last().unwrap().strip_prefix("there is more: --after ").unwrap();
    let rest = host.cli_ok(&["state", "scan", "job", "it", "count", "--checkpoint", "1", "--after", next]);
    assert_eq!(rest.lines().count(), 2, "one entry, and the checkpoint: {rest}");
    let refused = host.cli(&["state", "set", "job", "it", "count", "--key", "to", "--value", "many"]);
    let why = crate::host::text(&refused.stderr);
    assert!(refused.status.code() == Some(2) && why.contains("is not a `u64`"), "{why}");
    counts_to(&host, "to", 2);
}

#[test]
fn a_map_is_edited_entry_by_entry() {
    let host = Host::start();
    host.push(&example("delay-stats"), "delay-stats@1");
    let mut document = through("delay-stats@1", "job", &posted());
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["parameters"] = json!({"minimum_flights": 1});
    document["operators"]["it"]["inputs"] = json!({
        "by_carrier": {"from": "events", "key_by": "$.carrier"},
        "by_origin": {"from": "events", "key_by": "$.origin"},
    });
    document["sinks"]["out"]["inputs"] = json!(["it.carriers", "it.routes"]);
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    let flight = |dest: &str| json!({"carrier": "UA", "origin": "EWR", "dest": dest, "dep_delay": 4}).to_string();
    host.feed("job", &[flight("IAH"), flight("ORD"), flight("IAH")].join("\n"));
    let route = "/v1/jobs/job/operators/it/state/route_stats?key=EWR";
    let entry = |name: &str| host.json(&format!("{route}&name={name}"))["entries"][0]["value"]["json"].clone();
    let stats = |flights: u64| json!({"flights": flights, "with_delay": flights, "delay_sum": 4 * flights});
    eventually("all flights are counted", || (entry("IAH") == stats(2)).then_some(()));
    let value = stats(10).to_string();
    host.cli_ok(&["state", "set", "job", "it", "route_stats", "--key", "EWR", "--name", "IAH", "--value", &value]);
    assert_eq!((entry("IAH"), entry("ORD")), (stats(10), stats(1)));
    host.feed("job", &flight("IAH"));
    // What the guest had cached of the map is void.
    eventually("it counts on from the edit", || (entry("IAH") == stats(11)).then_some(()));
    host.cli_ok(&["state", "delete", "job", "it", "route_stats", "--key", "EWR", "--name", "ORD"]);
    let found = host.cli_ok(&["state", "get", "job", "it", "route_stats", "--key", "EWR"]);
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.starts_with("it.route_stats of EWR[\"IAH\"]: {"), "{found}");
}

#[test]
fn state_of_a_module_without_words_for_it_is_bytes() {
    let host = Host::start();
    host.push(&odd("count"), "count@1");
    let mut document = through("count@1", "job", &posted());
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    say(&host, &["to", "to"]);
    // A module without words for its state: bytes are shown, and given.
    let found = || host.json("/v1/jobs/job/operators/it/state/counts?key=to")["entries"][0]["value"].clone();
    eventually("it is counted", || (found()["text"] == "\u{2}\0\0\0\0\0\0\0").then_some(()));
    host.cli_ok(&["state", "set", "job", "it", "counts", "--key", "to", "--value-base64", "/wAAAAAAAAA="]);
    assert_eq!(found(), json!({"bytes": 8, "base64": "/wAAAAAAAAA="}));
    host.assert_up();
}
