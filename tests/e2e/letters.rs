//! Dead letters: kept with their reasons, and put back.

use serde_json::{Value, json};

use crate::documents::{file, often, posted, through};
use crate::guests::{example, odd};
use crate::host::Host;
use crate::jobs::done;

#[test]
fn a_letter_holds_the_event_the_reason_and_who_refused_it() {
    let host = Host::start();
    let pushed = host.push(&odd("poison-trap"), "poison@1");
    host.write("in.txt", "one\ntwo poison\nthree\n");
    host.submit(&through("poison@1", "job", &file("in.txt")).to_string());
    host.wait_for("job", "FINISHED");
    assert_eq!(host.lines("job.out"), ["one", "three"]);
    let letters = host.letters("job");
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((&letter["operator"], &letter["input"], &letter["kind"]), (&"it".into(), &"in".into(), &"trap".into()));
    assert_eq!((&letter["module"], &letter["value"]["text"]), (&pushed["hash"], &"two poison".into()));
    assert!(!letter["backtrace"].as_array().unwrap().is_empty(), "{letter}");
    assert!(!letter["message"].as_str().unwrap().is_empty());

    let host = host.kill_and_restart();
    assert_eq!(host.letters("job"), letters, "letters outlive the host");
}

#[test]
fn replayed_letters_pass_the_operator_again_and_are_marked() {
    let host = Host::start();
    host.push(&odd("poison"), "poison@1");
    host.submit(&often(through("poison@1", "job", &posted())).to_string());
    host.feed("job", "fine\npoison a\npoison b\n");
    host.wait_decided("job", 2);

    let replay = |what: Value| {
        let answer = host.post("/v1/jobs/job/dead-letters/replay").json(&what).send().unwrap();
        assert_eq!(answer.status(), 202);
        done(&host, &answer.json().unwrap())
    };
    // The module has not changed, so the letter comes back: as a new one, and the old one is marked.
    let one = replay(json!({"numbers": [0]}));
    assert_eq!((&one["status"], &one["detail"]["replayed"]), (&"SUCCEEDED".into(), &1.into()));
    let letters = host.wait_decided("job", 3);
    let marks: Vec<_> = letters.iter().map(|letter| letter["replayed"].as_bool().unwrap()).collect();
    let values: Vec<_> = letters.iter().map(|letter| letter["value"]["text"].as_str().unwrap()).collect();
    assert_eq!((&marks[..], &values[..]), (&[true, false, false][..], &["poison a", "poison b", "poison a"][..]));

    let rest = replay(json!({"all": true}));
    assert_eq!((&rest["detail"]["replayed"], &rest["detail"]["already_replayed"]), (&2.into(), &1.into()));
    host.wait_until("job", "dead_letters", 5);
    host.stop("job");
    assert_eq!(host.lines("job.out"), ["fine"]);
    let over = host.post("/v1/jobs/job/dead-letters/replay").json(&json!({"all": true})).send().unwrap();
    assert_eq!(over.status(), 409);
}

#[test]
fn letters_of_a_source_are_decoded_again() {
    let host = Host::start();
    let mut document = often(through("echo@1", "job", &posted()));
    document["sources"]["events"]["decode"] = "json".into();
    host.push(&odd("echo"), "echo@1");
    host.submit(&document.to_string());
    host.feed("job", "{\"fine\": 1}\n{broken\n");
    host.wait_decided("job", 1);
    let letter = &host.letters("job")[0];
    assert_eq!((&letter["operator"], &letter["kind"]), (&"events".into(), &"decode".into()));
    assert_eq!(letter["value"]["text"], "{broken");
    assert!(host.cli_ok(&["job", "dead-letters", "job", "--replay"]).contains("SUCCEEDED"));
    host.wait_until("job", "dead_letters", 2);
    host.stop("job");
    assert_eq!(host.lines("job.out"), ["{\"fine\": 1}"]);
}

#[test]
fn a_failed_call_leaves_no_trace_in_the_state() {
    let host = Host::start();
    host.push(&odd("event-count"), "count@1");
    let mut document = through("count@1", "job", &file("in.jsonl"));
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.key".into();
    host.write("in.jsonl", "{\"key\":\"a\"}\n{\"key\":\"a\",\"is\":\"poison\"}\n{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    host.submit(&document.to_string());
    host.wait_for("job", "FINISHED");
    assert_eq!(host.lines("job.out"), ["1", "2", "1"], "the write of the poisonous call was taken back");
    assert_eq!(host.letters("job")[0]["message"], "the value contains `poison`");
}

#[test]
fn a_page_of_letters_says_where_the_next_begins() {
    let host = Host::start();
    host.push(&example("enrich"), "enrich@1");
    let mut document = through("enrich@1", "job", &file("in.jsonl"));
    document["sources"]["events"]["decode"] = "json".into();
    host.write("in.jsonl", "{}\n".repeat(5));
    host.submit(&document.to_string());
    host.wait_for("job", "FINISHED");
    let page = host.json("/v1/jobs/job/dead-letters?from=1&limit=2");
    let numbers: Vec<_> = page["letters"].as_array().unwrap().iter().map(|letter| letter["number"].clone()).collect();
    assert_eq!((numbers, &page["count"], &page["next"]), (vec![1.into(), 2.into()], &5.into(), &3.into()));
    let last = host.json("/v1/jobs/job/dead-letters?from=3");
    assert_eq!((last["letters"].as_array().unwrap().len(), &last["next"]), (2, &Value::Null));
    assert!(host.cli_ok(&["job", "dead-letters", "job"]).contains("5 in all"));
}
