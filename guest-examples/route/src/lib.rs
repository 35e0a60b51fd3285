//! Sends each order to the port that fits: large ones, small ones, and those that cannot be read.

use gristmill_sdk::prelude::*;

/// What the job says under `parameters:`.
#[parameters]
struct Settings {
    /// An order of this many cents or more is large.
    #[serde(default = "thousand")]
    large_from: u64,
}

fn thousand() -> u64 {
    100_000
}

/// An order, as far as it matters here.
#[data]
struct Order {
    /// Cents.
    amount: u64,
}

/// The operator: its parameters, three output ports, and a count of what it could not read.
#[operator]
struct Route {
    settings: Parameters<Settings>,
    large: Output,
    small: Output,
    odd: Output,
    unreadable: Counter,
}

impl PerEvent for Route {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event.json::<Order>() {
            Ok(order) if order.amount >= self.settings.large_from => self.large.pass(event),
            Ok(_) => self.small.pass(event),
            // Returned as it is, the failure would send the event to the dead letters; here it has a port of its own.
            Err(failure) => {
                log::debug(failure);
                self.unreadable.increment();
                self.odd.pass(event);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gristmill_sdk::testing::{Harness, event};
    use serde_json::json;

    use super::*;

    #[test]
    fn every_order_leaves_by_one_port() {
        let mut route = Harness::<Route>::open(&json!({"large_from": 50})).expect("good parameters");
        let orders = [r#"{"amount": 49}"#, r#"{"amount": 50}"#, r#"{"amount": -1}"#];
        let done = route.process(orders.map(event)).expect("no order fails the batch");
        assert_eq!(done.texts("small"), [orders[0]]);
        assert_eq!(done.texts("large"), [orders[1]]);
        assert_eq!(done.texts("odd"), [orders[2]]);
        assert_eq!(route.counter("unreadable"), 1);
    }

    #[test]
    fn a_thousand_is_large_unless_the_job_says_otherwise() {
        let done = Harness::<Route>::new().process([event(r#"{"amount": 100000}"#), event(r#"{"amount": 99999}"#)]);
        assert_eq!(done.expect("good orders").texts("large"), [r#"{"amount": 100000}"#]);
    }
}
