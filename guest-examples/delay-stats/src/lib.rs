//! Mean departure delay of each carrier and of each route, kept up to date flight by flight.
//!
//! Two inputs bring the same flights under two keys: by carrier into a value for each, by origin into a map from
//! destination to value. What changed leaves once a batch: the latest line of a carrier or route is its answer.

use std::collections::BTreeMap;

use gristmill_sdk::prelude::*;

/// What the job says under `parameters:`.
#[parameters]
struct Settings {
    /// Routes with fewer flights are not sent: their means say little.
    #[serde(default = "hundred")]
    minimum_flights: u64,
}

fn hundred() -> u64 {
    100
}

/// A flight, as far as it matters here.
#[data]
struct Flight<'a> {
    #[serde(borrow)]
    carrier: &'a str,
    origin: &'a str,
    dest: &'a str,
    /// Minutes behind schedule; absent if the flight did not depart.
    dep_delay: Option<i64>,
}

/// Sums, not means: they stay exact whatever the order of the flights.
#[data]
#[derive(Default)]
struct Stats {
    flights: u64,
    with_delay: u64,
    /// Minutes.
    delay_sum: i64,
}

impl Stats {
    fn add(&mut self, dep_delay: Option<i64>) {
        self.flights += 1;
        self.with_delay += u64::from(dep_delay.is_some());
        self.delay_sum += dep_delay.unwrap_or(0);
    }
}

/// A line of output: exactly one of `carrier` and `route` is there.
#[data]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    flights: u64,
    with_delay: u64,
    delay_sum: i64,
    /// Minutes; null if no flight departed.
    mean_delay: Option<f64>,
    /// Flights that never left. What version 1 has counted suffices for it: there is nothing to migrate.
    #[cfg(feature = "cancelled")]
    cancelled: u64,
}

impl<'a> Line<'a> {
    fn new(carrier: Option<&'a str>, route: Option<String>, stats: &Stats) -> Self {
        let Stats { flights, with_delay, delay_sum } = *stats;
        let mean_delay = (with_delay > 0).then(|| delay_sum as f64 / with_delay as f64);
        Self {
            carrier,
            route,
            flights,
            with_delay,
            delay_sum,
            mean_delay,
            #[cfg(feature = "cancelled")]
            cancelled: flights - with_delay,
        }
    }
}

/// The operator.
#[operator]
struct DelayStats {
    settings: Parameters<Settings>,
    by_carrier: Input,
    by_origin: Input,
    carrier_stats: Value<Stats>,
    route_stats: Map<String, Stats>,
    carriers: Output,
    routes: Output,
    /// Carriers of this batch, with the row of their last flight.
    #[local]
    changed_carriers: BTreeMap<String, u32>,
    /// Routes of this batch, as origin and destination, with the row of their last flight.
    #[local]
    changed_routes: BTreeMap<(String, String), u32>,
}

impl PerEvent for DelayStats {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let flight: Flight<'_> = event.json()?;
        if self.by_carrier.brought(event) {
            self.carrier_stats.or_default(event)?.add(flight.dep_delay);
            self.changed_carriers.insert(flight.carrier.to_owned(), event.row());
        } else {
            self.route_stats.or_default(event, flight.dest)?.add(flight.dep_delay);
            self.changed_routes.insert((flight.origin.to_owned(), flight.dest.to_owned()), event.row());
        }
        Ok(())
    }

    fn end_of_batch(&mut self, batch: &Batch) -> Result<(), Failure> {
        for (carrier, row) in std::mem::take(&mut self.changed_carriers) {
            let event = batch.event(row);
            let Some(stats) = self.carrier_stats.get(event)? else { continue };
            self.carriers.json(event, &Line::new(Some(&carrier), None, stats))?;
        }
        for ((origin, dest), row) in std::mem::take(&mut self.changed_routes) {
            let event = batch.event(row);
            let Some(stats) = self.route_stats.get(event, &dest)? else { continue };
            if stats.flights >= self.settings.minimum_flights {
                self.routes.json(event, &Line::new(None, Some(format!("{origin}-{dest}")), stats))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
