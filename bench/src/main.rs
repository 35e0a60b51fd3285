//! `make bench [BENCH=name]`: each benchmark prints one JSON object as its last line.
//!
//! Throughput is measured beside a native twin (the same operator compiled into the host, run by the same engine), so
//! that the cost of the sandbox is always a number. Rounds alternate, the median counts.
//!
//! The exit status says whether all events came once, and whether jobs ran through. How fast is for the reader to judge:
//! machines differ.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod twins;
mod parts;
mod throughput;
mod latency;
mod process;
mod watched;
mod checkpoints;
mod load;
mod order;
mod swaps;
mod savepoints;
mod shadows;

use anyhow::{bail, ensure};
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ALL: [&str; 14] = [
    "filter",
    "json-filter",
    "keyed-count",
    "latency",
    "idle",
    "control",
    "keyed-count-rocksdb",
    "checkpoint-pause",
    "restart",
    "idle-checkpoint",
    "swap",
    "swap-10m",
    "savepoint",
    "shadow",
];

/// What must be zero wherever a benchmark counts it.
const NEVER: [&str; 3] = ["lost", "duplicated", "other_operators_restarted"];

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted = if wanted.is_empty() { ALL.map(str::to_owned).to_vec() } else { wanted };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let _entered = runtime.enter();
    let mut broken = Vec::new();
    for name in wanted {
        eprintln!("bench {name}");
        let result = match name.as_str() {
            "filter" => throughput::run(&throughput::FILTER)?,
            "json-filter" => throughput::run(&throughput::JSON_FILTER)?,
            "keyed-count" => throughput::run(&throughput::KEYED_COUNT)?,
            "latency" => latency::run()?,
            "idle" => process::idle(&runtime)?,
            "control" => process::control(&runtime)?,
            "keyed-count-rocksdb" => checkpoints::keyed_count()?,
            "checkpoint-pause" => checkpoints::pause()?,
            "restart" => checkpoints::restart()?,
            "idle-checkpoint" => checkpoints::idle()?,
            "swap" => swaps::run("swap", swaps::MILLION)?,
            "swap-10m" => swaps::run("swap-10m", swaps::TEN_MILLION)?,
            "savepoint" => savepoints::run()?,
            "shadow" => shadows::run()?,
            _ => bail!("there is no benchmark `{name}`; there are {}", ALL.join(", ")),
        };
        println!("{result}");
        broken.extend(broken_by(&name, &result));
    }
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

/// What must never be and was, in words.
fn broken_by(name: &str, result: &Value) -> Vec<String> {
    let counted = NEVER.into_iter().map(|what| (what, result[what].as_u64().unwrap_or(0)));
    let in_words = |(what, times): (&str, u64)| format!("bench {name} counted {times} as `{what}`, which must be 0");
    counted.filter(|(_, times)| *times > 0).map(in_words).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_must_never_be_is_named_where_it_is_counted() {
        for (result, named) in [
            (json!({"lost": 2, "duplicated": 0}), &["2 as `lost`"][..]),
            (json!({"lost": 0, "duplicated": 0, "other_operators_restarted": 0}), &[]),
            (json!({"bench": "filter"}), &[]),
            (json!({"lost": 0, "duplicated": 1, "other_operators_restarted": 3}), &["`duplicated`", "`other_"]),
        ] {
            let said = broken_by("swap", &result);
            assert_eq!(said.len(), named.len(), "{result}: {said:?}");
            assert!(said.iter().zip(named).all(|(said, named)| said.contains(named)), "{said:?}");
        }
    }
}
