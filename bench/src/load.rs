//! How much of a load a benchmark makes. The environment may say otherwise: `SWAPS=1000 make bench BENCH=swap`.

use std::time::Instant;

use anyhow::Context;
use gristmill_runtime::JobHandle;

/// A keyed stream at a steady rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Different keys; `KEYS`.
    pub(crate) keys: u64,
    /// Events a second; `RATE`.
    pub(crate) rate: u64,
    /// How often what is measured is done; named by the benchmark.
    pub(crate) times: u64,
}

impl Load {
    /// This load, as far as the environment says nothing else. `times` is the name of the variable for [`Self::times`].
    pub(crate) fn or_as_said(self, times: &str) -> anyhow::Result<Self> {
        Ok(Self { keys: said("KEYS", self.keys)?, rate: said("RATE", self.rate)?, times: said(times, self.times)? })
    }

    /// The source, as the job document has it.
    pub(crate) fn source(self) -> String {
        let Self { keys, rate, times: _ } = self;
        format!("{{generator: {{seed: 7, bytes: 110, keys: {keys}, rate: {rate}}}}}")
    }

    /// Events after which 95 of 100 keys have state.
    pub(crate) fn fill(self) -> u64 {
        3 * self.keys
    }
}

/// How fast events come to the sinks of a job, whatever was wished.
pub(crate) struct Pace {
    since: Instant,
    written: u64,
}

impl Pace {
    /// Measures from now on.
    pub(crate) fn of(handle: &JobHandle) -> Self {
        Self { since: Instant::now(), written: handle.report().events_written() }
    }

    /// Events a second of wall time, up to now.
    pub(crate) fn per_s(&self, handle: &JobHandle) -> f64 {
        let written = handle.report().events_written().saturating_sub(self.written);
        (written as f64 / self.since.elapsed().as_secs_f64()).round()
    }
}

fn said(name: &str, otherwise: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(number) => number.parse().with_context(|| format!("{name} is `{number}`, which is no number")),
        Err(_) => Ok(otherwise),
    }
}
