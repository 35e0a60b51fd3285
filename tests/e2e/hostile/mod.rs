//! Every hostile guest on a real host: the user gets a sentence, no event is lost, and the API answers all the while.
//!
//! `make hostile` prints a line for each: the sentence, the dead letters, the slowest answer of `/healthz` meanwhile.

#![expect(clippy::print_stdout, reason = "`make hostile` shows these lines")]

mod watch;
mod fates;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::documents::{file, through};
use crate::guests::odd;
use crate::host::{Host, eventually};
use fates::Fate::{self, AllOut, AllSetAside, Fails, NotStarted, PoisonSetAside, Refused};
use fates::guests;
use watch::Watch;

/// An answer later than this is a host that a guest has slowed down.
const PROMPT: Duration = Duration::from_millis(500);

/// Four events of a kibibyte with keys of their own; the third is poisonous.
fn events() -> Vec<String> {
    let event = |number: usize| {
        let word = if number == 2 { "poison" } else { "fine" };
        json!({"key": format!("key-{number}"), "word": word, "pad": "x".repeat(1024)}).to_string()
    };
    (0..4).map(event).collect()
}

fn document(guest: &str, asked: &Value) -> Value {
    let mut document = through(&format!("{guest}@1"), guest, &file("events.jsonl"));
    document["sources"]["events"]["decode"] = "json".into();
    let operator = &mut document["operators"]["it"];
    operator["inputs"]["in"]["key_by"] = "$.key".into();
    operator["limits"] = json!({"call": "5s", "memory": "32MiB", "output": "8MiB"});
    for (field, value) in asked.as_object().unwrap() {
        match value {
            Value::Object(fields) if field == "limits" => {
                fields.iter().for_each(|(limit, value)| operator["limits"][limit] = value.clone());
            }
            value => operator[field] = value.clone(),
        }
    }
    document
}

/// Lets one guest loose; gives the sentence that its user gets, and the number of dead letters.
fn let_loose(host: &Host, guest: &str, asked: &Value, fate: &Fate) -> (String, usize) {
    let push = host.post(&format!("/v1/modules?name={guest}@1")).body(std::fs::read(odd(guest)).unwrap());
    let pushed = push.send().unwrap();
    let status = pushed.status().as_u16();
    let pushed: Value = pushed.json().unwrap();
    if let Refused(code, words) = fate {
        assert_eq!((status, &pushed["code"]), (422, &Value::from(*code)), "{guest}: {pushed}");
        return (says(guest, &pushed["detail"], words), 0);
    }
    assert_eq!(status, 201, "{guest}: {pushed}");
    let (status, submitted) = host.try_submit(&document(guest, asked).to_string());
    if let NotStarted(words) = fate {
        assert_eq!((status, &submitted["code"]), (422, &"cannot-start".into()), "{guest}: {submitted}");
        return (says(guest, &submitted["detail"], words), 0);
    }
    assert_eq!(status, 201, "{guest}: {submitted}");
    let job = host.wait_for(guest, if matches!(fate, Fails(_)) { "FAILED" } else { "FINISHED" });
    let letters = host.letters(guest);
    (outcome(host, guest, &job, &letters, fate), letters.len())
}

/// Checks what came out and what was set aside; gives the sentence.
fn outcome(host: &Host, guest: &str, job: &Value, letters: &[Value], fate: &Fate) -> String {
    let text = |letter: &Value| letter["value"]["text"].as_str().unwrap().to_owned();
    let mut set_aside: Vec<String> = letters.iter().map(text).collect();
    set_aside.sort();
    let out = host.lines(&format!("{guest}.out"));
    let (fine, poison): (Vec<_>, Vec<_>) = events().into_iter().partition(|event| !event.contains("poison"));
    match fate {
        Refused(..) | NotStarted(_) => unreachable!("no job ran"),
        AllSetAside(kind, words) => {
            assert_eq!((set_aside, out), (events(), vec![]), "{guest}: every event is set aside once");
            assert!(letters.iter().all(|letter| letter["kind"] == *kind), "{guest}: {letters:?}");
            says(guest, &letters[0]["message"], words)
        }
        PoisonSetAside(kind, words) => {
            assert_eq!(
                (set_aside, out),
                (poison, fine),
                "{guest}: the poison is set aside, the others come out in order"
            );
            assert_eq!(letters[0]["kind"], *kind, "{guest}");
            says(guest, &letters[0]["message"], words)
        }
        Fails(words) => {
            assert!(set_aside.is_empty() && out.is_empty(), "{guest}: {set_aside:?}, {out:?}");
            says(guest, &job["cause"], words)
        }
        AllOut => {
            assert_eq!((set_aside, out), (vec![], events()), "{guest}");
            "all events came out".to_owned()
        }
    }
}

/// The sentence, which must have all these words in it, and be one.
fn says(guest: &str, sentence: &Value, words: &[&str]) -> String {
    let sentence = sentence.as_str().unwrap().to_owned();
    for word in words {
        assert!(sentence.contains(word), "{guest}: `{word}` is missing in: {sentence}");
    }
    sentence
}

#[test]
fn each_hostile_guest_gets_its_sentence_and_the_host_goes_on_answering() {
    let host = Host::start();
    host.write("events.jsonl", events().join("\n"));
    let watch = Watch::over(&host);
    let mut late = Vec::new();
    for (guest, asked, fate) in guests() {
        let (sentence, letters) = let_loose(&host, guest, &asked, &fate);
        let slowest = watch.slowest();
        let millis = slowest.as_secs_f64() * 1000.0;
        println!("hostile {guest} | {sentence} | dead letters {letters} | healthz max {millis:.1} ms");
        if slowest > PROMPT {
            late.push(format!("{guest}: {millis:.0} ms"));
        }
    }
    let last = watch.end();
    assert!(last <= PROMPT, "the last answer of /healthz took {last:?}");
    assert!(late.is_empty(), "/healthz answered late beside {late:?}");
    host.assert_up();
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

#[test]
fn a_thousand_bad_records_are_a_thousand_dead_letters() {
    let host = Host::start();
    host.push(&odd("poison"), "poison@1");
    let events: Vec<String> = (0..1000).map(|number| format!("poison {number:04}")).collect();
    host.write("in.txt", events.join("\n"));
    host.submit(&through("poison@1", "job", &file("in.txt")).to_string());
    let job = host.wait_for("job", "FINISHED");
    let letters = host.letters("job");
    let values: Vec<_> = letters.iter().map(|letter| letter["value"]["text"].as_str().unwrap()).collect();
    assert_eq!((values, &job["events_written"]), (events.iter().map(String::as_str).collect(), &0.into()));
    let sentence = letters[0]["message"].as_str().unwrap();
    println!("hostile a thousand bad records | {sentence} | dead letters {}", letters.len());
}

#[test]
fn an_operator_that_traps_on_everything_is_broken_and_not_the_data() {
    let host = Host::start();
    host.push(&odd("trap-process"), "trap@1");
    let events: Vec<String> = (0..1000).map(|number| format!("event {number:04}")).collect();
    host.write("in.txt", events.join("\n"));
    let mut job = through("trap@1", "job", &file("in.txt"));
    job["restart"] = json!("none");
    host.submit(&job.to_string());
    let job = host.wait_for("job", "FAILED");
    let cause = job["cause"].as_str().unwrap();
    assert!(cause.contains("operator `it`") && cause.contains("the operator is broken, not the data"), "{cause}");
    let values: Vec<_> =
        host.letters("job").iter().map(|letter| letter["value"]["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(values, events[..20], "the first twenty are kept; the rest was not taken for bad");
    println!("hostile a thousand traps | {cause} | dead letters {}", values.len());
}

#[test]
fn beside_a_spinning_guest_other_jobs_go_on() {
    let host = Host::start();
    host.push(&odd("spin"), "spin@1");
    host.push(&odd("echo"), "echo@1");
    host.write("in.txt", "one\n");
    let mut spinning = through("spin@1", "spinning", &file("in.txt"));
    let call = Duration::from_secs(4);
    spinning["operators"]["it"]["limits"] = json!({"call": "4s"});
    host.submit(&spinning.to_string());
    host.wait_for("spinning", "RUNNING");
    host.submit(&through("echo@1", "other", &file("in.txt")).to_string());
    host.wait_for("other", "FINISHED");
    assert_eq!(host.lines("other.out"), ["one"]);
    assert_eq!(host.json("/v1/jobs/spinning")["state"], "RUNNING");
    // The guest is in the middle of a call, and gets no second one.
    let start = Instant::now();
    host.post("/v1/jobs/spinning/cancel").send().unwrap();
    eventually("the spinning job ends", || (host.json("/v1/jobs/spinning")["state"] == "CANCELLED").then_some(()));
    assert!(start.elapsed() < call + Duration::from_secs(2), "cancelling took {:?}", start.elapsed());
}
