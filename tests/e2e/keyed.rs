//! Keyed state over several subtasks: each key is counted in one place, in order.

use std::collections::HashMap;

use serde_json::json;

use crate::documents::{file, posted, through};
use crate::guests::example;
use crate::host::{Host, eventually};

/// Words as uneven as in a language, the same in each run.
fn words(count: usize) -> Vec<String> {
    let mut seed = 42_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    (0..count).map(|_| format!("word-{}", next() % (1 + next() % 500))).collect()
}

#[test]
fn words_counted_by_two_subtasks_are_counted_as_by_hand() {
    let host = Host::start();
    host.push(&example("word-count"), "word-count@1");
    let words = words(20_000);
    host.write("in.jsonl", words.iter().map(|word| format!("{{\"word\":\"{word}\"}}\n")).collect::<String>());
    let mut document = through("word-count@1", "job", &file("in.jsonl"));
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    document["operators"]["it"]["parallelism"] = 2.into();
    host.submit(&document.to_string());
    let job = host.wait_for("job", "FINISHED");

    let mut expected: HashMap<&str, u64> = HashMap::new();
    words.iter().for_each(|word| *expected.entry(word).or_default() += 1);
    let mut seen: HashMap<String, u64> = HashMap::new();
    for line in host.lines("job.out") {
        let (word, count) = line.split_once(' ').unwrap();
        let before = seen.insert(word.to_owned(), count.parse().unwrap()).unwrap_or(0);
        assert_eq!(count, (before + 1).to_string(), "the counts of `{word}` rise one by one, in order");
    }
    assert_eq!(seen.len(), expected.len());
    assert!(expected.iter().all(|(word, count)| seen[*word] == *count));

    let node = job["report"]["nodes"].as_array().unwrap().iter().find(|node| node["id"] == "it").unwrap();
    let of_subtasks = |name: &str| -> Vec<u64> {
        node["subtasks"].as_array().unwrap().iter().map(|subtask| subtask["counts"][name].as_u64().unwrap()).collect()
    };
    assert!(of_subtasks("events_in").iter().all(|events| *events > 1000), "both had work: {node}");
    assert_eq!(of_subtasks("state_keys").iter().sum::<u64>(), expected.len() as u64);
}

/// Nice 19 is next to nothing of a busy core, and 5 about a quarter: what nobody waits for must not be felt by the stream.
#[test]
fn threads_that_work_in_the_background_stand_back() {
    let host = Host::start();
    host.push(&example("word-count"), "word-count@1");
    let mut document = through("word-count@1", "job", &posted());
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    document["checkpoint"] = json!({"backend": "rocksdb"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    for (name, nice) in [("job-merge", 19), ("job-savepoint", 5), ("state-intake", 19)] {
        eventually(&format!("`{name}` stands back"), || {
            host.threads().contains(&(name.to_owned(), nice)).then_some(())
        });
    }
    let subtask = ("events-0".to_owned(), 0);
    eventually("the subtask does not", || host.threads().contains(&subtask).then_some(()));
}
