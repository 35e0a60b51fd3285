//! Sources: posts, files, sockets. What is accepted comes out, once and in order.

use std::io::Write;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::documents::{copied, file, posted};
use crate::host::Host;

#[test]
fn posted_events_come_one_in_lines_or_in_an_array() {
    let host = Host::start();
    host.submit(&copied("job", &posted(), &"json".into()).to_string());
    host.wait_for("job", "RUNNING");
    let post = |media_type: &str, body: &str| {
        let post = host.post("/v1/jobs/job/sources/events/events").header("content-type", media_type);
        let answer = post.body(body.to_owned()).send().unwrap();
        (answer.status().as_u16(), answer.json::<Value>().unwrap())
    };
    assert_eq!(post("application/json", "{\"n\":1}"), (202, json!({"accepted": 1})));
    assert_eq!(post("application/x-ndjson", "{\"n\":2}\n{\"n\":3}\n"), (202, json!({"accepted": 2})));
    assert_eq!(post("application/json", "[{\"n\":4}, {\"n\":5}]"), (202, json!({"accepted": 2})));
    let (status, refused) = post("application/json", "{\"n\":");
    assert_eq!((status, &refused["code"]), (400, &"malformed-json".into()));
    let (status, refused) = post("application/x-ndjson", "\n\n");
    assert_eq!((status, &refused["code"]), (400, &"no-events".into()));
    let elsewhere = host.post("/v1/jobs/job/sources/evnets/events").body("{}").send().unwrap();
    assert_eq!(elsewhere.status(), 404);
    assert_eq!(elsewhere.json::<Value>().unwrap()["hint"], "did you mean `events`?");
    host.wait_until("job", "events_read", 5);
    host.stop("job");
    assert_eq!(host.lines("job.out"), (1..=5).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>());
}

#[test]
fn a_job_slower_than_its_posts_says_429_and_loses_nothing_that_it_took() {
    let host = Host::start();
    host.submit(&copied("job", &json!({"http": {"buffer": "4KiB"}}), &"raw".into()).to_string());
    host.wait_for("job", "RUNNING");
    host.post("/v1/jobs/job/pause").send().unwrap();
    host.wait_for("job", "PAUSED");
    let event = |number: usize| format!("event {number} {}", "x".repeat(100));

    // Nobody reads: the buffer fills, and the next post is told when to come back.
    let mut taken = Vec::new();
    let refused = loop {
        let answer = host.offer("job", &event(taken.len()));
        if answer.status() == 429 {
            break answer;
        }
        assert_eq!(answer.status(), 202);
        taken.push(event(taken.len()));
        assert!(taken.len() < 100, "a buffer of 4 KiB took {} events", taken.len());
    };
    assert!(taken.len() > 10, "{}", taken.len());
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    let refused: Value = refused.json().unwrap();
    assert_eq!(refused["code"], "backpressure");
    assert!(
        refused["retry_after_ms"].as_u64().is_some() && refused["hint"].as_str().unwrap().contains("again"),
        "{refused}"
    );

    let far_too_much: Vec<String> = (0..100).map(event).collect();
    assert_eq!(host.offer("job", &far_too_much.join("\n")).status(), 413, "waiting would not help");

    host.post("/v1/jobs/job/resume").send().unwrap();
    while taken.len() < 200 {
        let next = event(taken.len());
        match host.offer("job", &next).status().as_u16() {
            202 => taken.push(next),
            status => assert_eq!(status, 429),
        }
    }
    host.wait_until("job", "events_read", 200);
    host.stop("job");
    assert_eq!(host.lines("job.out"), taken);
}

#[test]
fn what_was_accepted_comes_out_though_the_job_stops_before_it_is_read() {
    let host = Host::start();
    host.submit(&copied("job", &posted(), &"raw".into()).to_string());
    host.wait_for("job", "RUNNING");
    host.post("/v1/jobs/job/pause").send().unwrap();
    host.wait_for("job", "PAUSED");
    let events: Vec<String> = (0..5000).map(|number| format!("event {number}")).collect();
    host.feed("job", &events.join("\n"));
    assert_eq!(host.stop("job")["events_read"], 5000);
    assert_eq!(host.lines("job.out"), events);
}

#[test]
fn lines_of_a_connection_are_read_to_its_end() {
    let host = Host::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let events: Vec<String> = (0..5000).map(|number| format!("line {number}")).collect();
    let text = events.join("\n");
    let sender = std::thread::spawn(move || listener.accept().unwrap().0.write_all(text.as_bytes()).unwrap());
    host.submit(&copied("job", &json!({"socket": {"connect": address}}), &"raw".into()).to_string());
    host.wait_for("job", "FINISHED");
    sender.join().unwrap();
    assert_eq!(host.lines("job.out"), events);
}

#[test]
fn files_are_read_plain_and_packed_in_the_order_of_their_names() {
    let host = Host::start();
    let lines = |from: usize| -> String { (from..from + 1000).map(|number| format!("{{\"n\":{number}}}\n")).collect() };
    host.write("part-1.jsonl", lines(0));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(lines(1000).as_bytes()).unwrap();
    host.write("part-2.jsonl.gz", packed.finish().unwrap());
    host.write("part-3.jsonl.zst", zstd::encode_all(lines(2000).as_bytes(), 3).unwrap());
    host.submit(&copied("job", &file("part-*"), &"json".into()).to_string());
    host.wait_for("job", "FINISHED");
    assert_eq!(
        host.lines("job.out"),
        lines(0).lines().chain(lines(1000).lines()).chain(lines(2000).lines()).collect::<Vec<_>>()
    );
}

#[test]
fn a_row_of_a_table_becomes_an_object_with_typed_fields() {
    let host = Host::start();
    host.write("in.csv", "id,count,price,name\n1,7,2.5,\"a, b\"\n2,NA,3,\n");
    let decode = json!({"csv": {"columns": {"id": "string", "count": "int", "price": "float"}, "null": "NA"}});
    host.submit(&copied("job", &file("in.csv"), &decode).to_string());
    host.wait_for("job", "FINISHED");
    let rows: Vec<Value> = host.lines("job.out").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows[0], json!({"id": "1", "count": 7, "price": 2.5, "name": "a, b"}));
    assert_eq!((&rows[1]["id"], rows[1].get("count"), rows[1].get("name"), rows.len()), (&"2".into(), None, None, 2));
    assert_eq!(rows[1]["price"].as_f64(), Some(3.0));
}

#[test]
fn a_torn_line_goes_to_the_dead_letters_with_its_place() {
    let host = Host::start();
    host.write("events.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":\n{\"n\":4}\n");
    host.submit(&copied("job", &file("events.jsonl"), &"json".into()).to_string());
    let job = host.wait_for("job", "FINISHED");
    assert_eq!(host.lines("job.out"), ["{\"n\":1}", "{\"n\":2}", "{\"n\":4}"]);
    assert_eq!(job["dead_letters"], 1);
    let letter = &host.letters("job")[0];
    assert_eq!((&letter["kind"], &letter["value"]["text"]), (&"decode".into(), &"{\"n\":".into()));
    assert!(letter["origin"].as_str().unwrap().ends_with("events.jsonl:3"), "{letter}");
}

#[test]
fn keys_and_times_are_picked_from_the_value() {
    let host = Host::start();
    host.write(
        "in.jsonl",
        "{\"user\":{\"id\":\"u1\"},\"at\":\"2013-01-01T05:00:00Z\"}\n{\"user\":{\"id\":\"u2\"},\"at\":\"soon\"}\n",
    );
    let mut document = copied("job", &file("in.jsonl"), &"json".into());
    document["sources"]["events"]["key"] = "$.user.id".into();
    document["sources"]["events"]["event_time"] = json!({"path": "$.at", "unit": "iso"});
    document["sinks"]["out"]["to"]["file"]["encode"] = "json-envelope".into();
    host.submit(&document.to_string());
    host.wait_for("job", "FINISHED");
    let rows: Vec<Value> = host.lines("job.out").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["key"], rows[0]["timestamp"].as_i64()), (&"u1".into(), Some(1_357_016_400_000)));
    let letter = &host.letters("job")[0];
    assert!(letter["origin"].as_str().unwrap().ends_with("in.jsonl:2"), "{letter}");
    assert!(letter["message"].as_str().unwrap().contains("$.at"), "{letter}");
}

#[test]
fn a_file_that_is_not_there_fails_the_job_with_its_name() {
    let host = Host::start();
    let (status, answer) = host.try_submit(&copied("job", &file("nowhere.jsonl"), &"json".into()).to_string());
    assert_eq!((status, &answer["code"]), (422, &"cannot-start".into()), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("nowhere.jsonl"), "{answer}");
    assert_eq!(host.json("/v1/jobs")["jobs"], json!([]), "a job that did not start leaves nothing behind");
    host.assert_up();
}

#[test]
fn history_from_a_time_on_gives_what_the_same_job_gave_live() {
    let host = Host::start();
    host.push(&crate::guests::example("word-count"), "count@1");
    let counting = |job: &str, from: &Value| {
        let mut document = crate::documents::through("count@1", job, from);
        document["sources"]["events"]["decode"] = "json".into();
        document["sources"]["events"]["event_time"] = json!({"path": "$.at", "unit": "s"});
        document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
        document
    };
    let event = |number: u32| json!({"at": 1_700_000_000 + number, "word": format!("w{}", number % 3)}).to_string();
    let lines = |numbers: std::ops::Range<u32>| numbers.map(|number| event(number) + "\n").collect::<String>();
    host.submit(&counting("live", &posted()).to_string());
    host.feed("live", &lines(500..1000));
    host.stop("live");

    host.write("history.jsonl", lines(0..1000));
    let mut document = counting("again", &file("history.jsonl"));
    document["sources"]["events"]["start"] = json!({"event_time": "2023-11-14T22:21:40Z"});
    host.submit(&document.to_string());
    host.wait_for("again", "FINISHED");
    assert_eq!(host.lines("again.out"), host.lines("live.out"));
    assert_eq!(host.lines("again.out").len(), 500);
}
