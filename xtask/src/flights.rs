//! The answer of the demo, read from the files that its sinks wrote: the last line of each carrier and route counts.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// Prints the answer.
pub(crate) fn answer(carriers: &Path, routes: &Path) -> anyhow::Result<()> {
    println!("\ncarrier  flights  mean departure delay (min)");
    for (carrier, line) in latest(carriers, "carrier")? {
        println!("{carrier:<7}  {:>7}  {:>26.1}", line["flights"], line["mean_delay"].as_f64().unwrap_or(f64::NAN));
    }
    println!("\nthe ten worst routes (at least 100 flights)");
    let mut routes_by_delay: Vec<_> = latest(routes, "route")?.into_iter().collect();
    let delay = |line: &Value| line["mean_delay"].as_f64().unwrap_or(f64::NEG_INFINITY);
    routes_by_delay.sort_by(|(_, one), (_, two)| delay(two).total_cmp(&delay(one)));
    for (route, line) in routes_by_delay.iter().take(10) {
        println!("{route:<7}  {:>7}  {:>26.1}", line["flights"], delay(line));
    }
    println!("\nstored in {} and {}", carriers.display(), routes.display());
    Ok(())
}

fn latest(file: &Path, name: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut latest = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("a line of {}", file.display()))?;
        let key = line[name].as_str().with_context(|| format!("no `{name}` in {line}"))?.to_owned();
        latest.insert(key, line);
    }
    Ok(latest)
}
