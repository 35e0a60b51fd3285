use gristmill_sdk::testing::{Given, Harness, json};
use serde_json::{Value, json};

use super::*;

fn flight(carrier: &str, origin: &str, dest: &str, dep_delay: Option<i64>) -> Value {
    json!({"carrier": carrier, "origin": origin, "dest": dest, "dep_delay": dep_delay})
}

/// A line as this version writes it.
fn line(text: &str, cancelled: u64) -> String {
    match text.strip_suffix('}') {
        Some(text) if cfg!(feature = "cancelled") => format!("{text},\"cancelled\":{cancelled}}}"),
        Some(_) | None => text.to_owned(),
    }
}

fn by(key: &str, flights: &[Value]) -> Vec<Given> {
    flights.iter().map(|flight| json(flight).key(flight[key].as_str().expect("a text"))).collect()
}

#[test]
fn a_carrier_counts_all_flights_and_averages_those_that_departed() {
    let mut stats = Harness::<DelayStats>::new();
    let flights =
        [flight("UA", "EWR", "IAH", Some(4)), flight("AA", "JFK", "MIA", None), flight("UA", "LGA", "IAH", None)];
    let done = stats.process_input("by_carrier", by("carrier", &flights)).expect("good flights");
    let lines = [
        line(r#"{"carrier":"AA","flights":1,"with_delay":0,"delay_sum":0,"mean_delay":null}"#, 1),
        line(r#"{"carrier":"UA","flights":2,"with_delay":1,"delay_sum":4,"mean_delay":4.0}"#, 1),
    ];
    assert_eq!(done.texts("carriers"), lines);
    assert!(done.events("routes").is_empty());
}

#[test]
fn a_route_is_sent_once_it_has_enough_flights() {
    let mut stats = Harness::<DelayStats>::open(&json!({"minimum_flights": 3})).expect("good parameters");
    let two = [flight("UA", "EWR", "IAH", Some(-2)), flight("AA", "EWR", "IAH", Some(3))];
    let done = stats.process_input("by_origin", by("origin", &two)).expect("good flights");
    assert!(done.events("routes").is_empty());
    let third = [flight("UA", "EWR", "IAH", Some(0)), flight("UA", "EWR", "ORD", Some(60))];
    let done = stats.process_input("by_origin", by("origin", &third)).expect("good flights");
    let route = r#"{"route":"EWR-IAH","flights":3,"with_delay":3,"delay_sum":1,"mean_delay":0.3333333333333333}"#;
    assert_eq!(done.texts("routes"), [line(route, 0)]);
}

#[test]
fn a_batch_sends_a_line_for_each_carrier_not_for_each_flight() {
    let mut stats = Harness::<DelayStats>::new();
    let flights: Vec<_> = (0..1000).map(|at| flight(["UA", "AA"][at % 2], "EWR", "IAH", Some(1))).collect();
    let done = stats.process_input("by_carrier", by("carrier", &flights)).expect("good flights");
    assert_eq!(done.events("carriers").len(), 2);
}

#[test]
fn a_line_that_is_no_flight_changes_nothing() {
    let mut stats = Harness::<DelayStats>::new();
    let events = vec![json(&json!({"carrier": "UA"})).key("UA")];
    let done = stats.process_input("by_carrier", events).expect("one event is no reason");
    assert_eq!(done.rejections().len(), 1);
    assert_eq!(stats.value::<Stats>("carrier_stats", "UA"), None);
}
