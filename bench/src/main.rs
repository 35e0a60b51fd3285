//! `make bench [BENCH=name]`: each benchmark prints one JSON object as its last line.
//!
//! Throughput is measured beside a native twin (the same operator compiled into the host, run by the same engine), so
//! that the cost of the sandbox is always a number. Rounds alternate, the median counts.

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

use anyhow::bail;

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

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted = if wanted.is_empty() { ALL.map(str::to_owned).to_vec() } else { wanted };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let _entered = runtime.enter();
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
    }
    Ok(())
}
