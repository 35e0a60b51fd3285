//! Parses a flight and sends it on with what follows from it: its route, its speed, whether it was late.

use gristmill_sdk::prelude::*;

/// A flight, as far as it matters here; what is absent was not flown, or not noted.
#[data]
struct Flight<'a> {
    #[serde(borrow)]
    carrier: &'a str,
    origin: &'a str,
    dest: &'a str,
    /// Miles.
    distance: u32,
    /// Minutes in the air.
    air_time: Option<u64>,
    /// Minutes behind schedule at departure.
    dep_delay: Option<i32>,
}

/// The flight with what follows from it.
#[data]
struct Enriched<'a> {
    carrier: &'a str,
    /// Such as `EWR-IAH`.
    route: String,
    /// Miles an hour, rounded down.
    speed: Option<u64>,
    late: Option<bool>,
}

/// The operator: one port for all flights.
#[operator]
struct Enrich {
    flights: Output,
}

impl PerEvent for Enrich {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let flight: Flight<'_> = event.json()?;
        let enriched = Enriched {
            carrier: flight.carrier,
            route: format!("{}-{}", flight.origin, flight.dest),
            speed: flight.air_time.and_then(|minutes| (u64::from(flight.distance) * 60).checked_div(minutes)),
            late: flight.dep_delay.map(|delay| delay > 0),
        };
        self.flights.json(event, &enriched)
    }
}

#[cfg(test)]
mod tests {
    use gristmill_sdk::testing::{Harness, event};
    use serde_json::{Value, json};

    use super::*;

    fn enriched(flight: &Value) -> Value {
        let done = Harness::<Enrich>::new().process([gristmill_sdk::testing::json(flight)]).expect("a good flight");
        done.json("flights").remove(0)
    }

    #[test]
    fn a_flight_gets_its_route_and_speed() {
        let flight =
            json!({"carrier": "UA", "origin": "EWR", "dest": "IAH", "distance": 1400, "air_time": 227, "dep_delay": 2});
        let expected = json!({"carrier": "UA", "route": "EWR-IAH", "speed": 370, "late": true});
        assert_eq!(enriched(&flight), expected);
    }

    #[test]
    fn what_was_not_noted_stays_unknown() {
        let flight = json!({"carrier": "UA", "origin": "EWR", "dest": "IAH", "distance": 1400, "air_time": 0});
        let expected = json!({"carrier": "UA", "route": "EWR-IAH", "speed": null, "late": null});
        assert_eq!(enriched(&flight), expected);
    }

    #[test]
    fn what_is_no_flight_is_rejected_and_says_why() {
        let done = Harness::<Enrich>::new().process([event(r#"{"carrier": "UA"}"#)]).expect("one event is no reason");
        assert!(done.rejections()[0].1.contains("missing field `origin`"), "{:?}", done.rejections());
    }
}
