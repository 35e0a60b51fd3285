//! Metrics. They count when the call takes effect; what was counted for a rejected event stays counted, so that
//! rejections can be counted by their reason.

use crate::bindings::gristmill::operator::types::Descriptor;
use crate::event::Batch;
use crate::failure::Failure;
use crate::host;
use crate::part::{Done, Field, Part, Role};

/// A number that goes up, or down. Summed within a call, so counting every event costs an addition.
#[derive(Debug)]
pub struct Counter {
    metric: u32,
    sum: i64,
}

impl Counter {
    /// Adds.
    #[inline]
    pub fn add(&mut self, delta: i64) {
        self.sum = self.sum.saturating_add(delta);
    }

    /// Adds one.
    #[inline]
    pub fn increment(&mut self) {
        self.add(1);
    }
}

impl Part for Counter {
    const ROLE: Role = Role::Metric;

    fn declare(field: &Field, descriptor: &mut Descriptor) -> u32 {
        declare(field, descriptor)
    }

    fn build(_: &'static Field, metric: u32, _: &str) -> Result<Self, Failure> {
        Ok(Self { metric, sum: 0 })
    }

    fn begin(&mut self, _: &Batch) {
        self.sum = 0;
    }

    fn finish(&mut self, _: &mut Done<'_>) -> Result<(), Failure> {
        if self.sum != 0 {
            host::metric_add(self.metric, self.sum);
        }
        Ok(())
    }
}

/// A distribution of numbers. Each observation is a call of the host, a few hundred nanoseconds.
#[derive(Debug)]
pub struct Histogram {
    metric: u32,
}

impl Histogram {
    /// Records a number.
    pub fn observe(&self, value: f64) {
        host::metric_observe(self.metric, value);
    }
}

impl Part for Histogram {
    const ROLE: Role = Role::Metric;

    fn declare(field: &Field, descriptor: &mut Descriptor) -> u32 {
        declare(field, descriptor)
    }

    fn build(_: &'static Field, metric: u32, _: &str) -> Result<Self, Failure> {
        Ok(Self { metric })
    }
}

fn declare(field: &Field, descriptor: &mut Descriptor) -> u32 {
    descriptor.metrics.push(field.name.to_owned());
    descriptor.metrics.len() as u32 - 1
}
