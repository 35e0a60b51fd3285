//! How much of a load a benchmark makes. The environment may say otherwise: `SWAPS=1000 make bench BENCH=swap`.

use anyhow::Context;

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

fn said(name: &str, otherwise: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(number) => number.parse().with_context(|| format!("{name} is `{number}`, which is no number")),
        Err(_) => Ok(otherwise),
    }
}
