//! The answer of the demo, read from the files that its sinks wrote: the last line of each carrier and route counts.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Prints the answer.
///
/// # Errors
/// If not exactly so many flights are in it.
pub(crate) fn answer(flights: u64, carriers: &Path, routes: &Path) -> anyhow::Result<()> {
    let by_carrier = Lines::read(carriers, "carrier")?;
    println!("\ncarrier  flights  mean departure delay (min)  never left");
    for (carrier, line) in &by_carrier.latest {
        // Only lines of version 2 say how many never left; a carrier without flights since then has none.
        let cancelled = line["cancelled"].as_u64().map_or_else(|| "-".to_owned(), |count| count.to_string());
        println!("{carrier:<7}  {:>7}  {:>26.1}  {cancelled:>10}", number(line, "flights"), delay(line));
    }
    let by_route = Lines::read(routes, "route")?;
    println!("\nthe five worst routes (at least 100 flights)");
    let mut worst: Vec<_> = by_route.latest.iter().collect();
    worst.sort_by(|(_, one), (_, two)| delay(two).total_cmp(&delay(one)));
    for (route, line) in worst.iter().take(5) {
        println!("{route:<7}  {:>7}  {:>26.1}", number(line, "flights"), delay(line));
    }
    let (old, new) = (by_carrier.by_old + by_route.by_old, by_carrier.by_new + by_route.by_new);
    let counted: u64 = by_carrier.latest.values().map(|line| number(line, "flights")).sum();
    println!("\nversion 1 wrote {old} rows, then version 2 wrote {new}; of {flights} flights {counted} are counted");
    println!("stored in {} and {}", carriers.display(), routes.display());
    ensure!(counted == flights, "the answer is wrong: it should be of {flights} flights");
    ensure!(old > 0 && new > 0, "one of both versions wrote nothing");
    Ok(())
}

/// What a sink wrote.
#[derive(Default)]
struct Lines {
    /// The last line of each carrier or route.
    latest: BTreeMap<String, Value>,
    /// Lines of version 1.
    by_old: u64,
    /// Lines of version 2: these say how many flights never left.
    by_new: u64,
}

impl Lines {
    fn read(file: &Path, name: &str) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let mut lines = Self::default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).with_context(|| format!("a line of {}", file.display()))?;
            let key = line[name].as_str().with_context(|| format!("no `{name}` in {line}"))?.to_owned();
            *if line["cancelled"].is_null() { &mut lines.by_old } else { &mut lines.by_new } += 1;
            lines.latest.insert(key, line);
        }
        Ok(lines)
    }
}

fn number(line: &Value, name: &str) -> u64 {
    line[name].as_u64().unwrap_or_default()
}

fn delay(line: &Value) -> f64 {
    line["mean_delay"].as_f64().unwrap_or(f64::NEG_INFINITY)
}
