//! How fast the reader empties the buffer, so that whoever finds it full can be told when to come again.

use std::time::Instant;

/// Measured over about a second.
pub(super) struct DrainRate {
    since: Instant,
    cost: usize,
    cost_per_ms: f64,
}

impl DrainRate {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), cost: 0, cost_per_ms: 0.0 }
    }

    /// So much was taken.
    pub(super) fn took(&mut self, cost: usize) {
        self.cost += cost;
        let elapsed_ms = self.since.elapsed().as_millis() as f64;
        if elapsed_ms >= 500.0 {
            let latest = self.cost as f64 / elapsed_ms;
            self.cost_per_ms = if self.cost_per_ms == 0.0 { latest } else { (self.cost_per_ms + latest) / 2.0 };
            (self.since, self.cost) = (Instant::now(), 0);
        }
    }

    /// How long until so much is taken; between a tenth of a second and ten seconds, since it is a guess.
    pub(super) fn ms_for(&self, cost: usize) -> u64 {
        let ms = if self.cost_per_ms > 0.0 { cost as f64 / self.cost_per_ms } else { 1000.0 };
        ms.clamp(100.0, 10_000.0) as u64
    }
}
