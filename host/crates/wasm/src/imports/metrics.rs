//! `gristmill:operator/metrics`: measurements are collected, and count only if the call takes effect.

use gristmill_types::outcome::MetricUpdate;

use crate::bindings::metrics::Host;
use crate::fault::Stop;
use crate::guest_data::{GuestData, Phase};

impl Host for GuestData {
    fn add(&mut self, metric: u32, delta: i64) -> wasmtime::Result<()> {
        check(self, metric)?;
        // Most guests count the same thing event by event: one sum is kept for the run.
        if let Some(MetricUpdate::Add { metric: last, delta: sum }) = self.measured.last_mut()
            && *last == metric
        {
            *sum = sum.saturating_add(delta);
            return Ok(());
        }
        keep(self, MetricUpdate::Add { metric, delta })
    }

    fn observe(&mut self, metric: u32, value: f64) -> wasmtime::Result<()> {
        check(self, metric)?;
        keep(self, MetricUpdate::Observe { metric, value })
    }
}

fn check(data: &GuestData, metric: u32) -> Result<(), Stop> {
    if data.phase == Phase::Outside {
        return Err(Stop::Contract(
            "metrics can be counted only while the guest processes a batch or a timer".to_owned(),
        ));
    }
    if metric as usize >= data.metrics {
        let declared = data.metrics;
        return Err(Stop::Contract(format!("metric {metric} is not declared; the descriptor declares {declared}")));
    }
    Ok(())
}

fn keep(data: &mut GuestData, update: MetricUpdate) -> wasmtime::Result<()> {
    data.charge(size_of::<MetricUpdate>())?;
    data.measured.push(update);
    Ok(())
}
