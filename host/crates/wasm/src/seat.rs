//! The place of one subtask's instance: fills it, opens the guest, and fills it anew when an instance had to go.

use std::sync::Arc;

use gristmill_ports::operator::{InstanceLimits, InstanceRecord, OperatorContext};
use gristmill_types::{CallFailure, Descriptor};

use crate::bindings::types::{Context, Failure};
use crate::guest_data::{Phase, Provisions};
use crate::instance::Instance;
use crate::limits::Limits;
use crate::log_gate::cut;
use crate::module::Module;

/// What stays when an instance goes.
pub(crate) struct Seat {
    pub(crate) module: Arc<Module>,
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) context: OperatorContext,
    pub(crate) limits: Limits,
    occupant: Option<Instance>,
    /// Instances made so far.
    made: u64,
    /// When the newest one was opened.
    opened_ms: i64,
    /// How often it was taken.
    taken: u64,
    /// Bytes of memory that one of them has taken at most, as far as they came back.
    peak: usize,
}

impl Seat {
    /// A seat with an opened instance in it.
    ///
    /// # Errors
    /// What `open` said, or why it could not be called.
    pub(crate) fn filled(
        module: Arc<Module>,
        descriptor: Arc<Descriptor>,
        context: OperatorContext,
        limits: Limits,
    ) -> Result<Self, CallFailure> {
        let (occupant, made, opened_ms, taken, peak) = (None, 0, 0, 0, 0);
        let mut seat = Self { module, descriptor, context, limits, occupant, made, opened_ms, taken, peak };
        seat.occupant = Some(seat.open()?);
        Ok(seat)
    }

    /// The instance, for one call. It is gone unless it is given back.
    ///
    /// # Errors
    /// If a new one was needed and did not open.
    pub(crate) fn take(&mut self) -> Result<Instance, CallFailure> {
        let instance = match self.occupant.take() {
            Some(instance) => Ok(instance),
            None => self.open(),
        };
        self.taken += 1;
        instance
    }

    /// What the newest instance was opened with, and how many calls it had before the last one.
    pub(crate) fn record(&self) -> InstanceRecord {
        let (context, limits) = (&self.context, &self.limits);
        InstanceRecord {
            subtask: context.subtask,
            parallelism: context.parallelism,
            max_parallelism: context.max_parallelism,
            keys_in_place: context.keys_in_place,
            parameters: context.written_parameters.as_ref().unwrap_or(&context.parameters).clone(),
            seed: seed_of(seed_of(context.seed, self.made), 1),
            opened_ms: self.opened_ms,
            calls: self.taken.saturating_sub(1),
            limits: InstanceLimits {
                memory_bytes: limits.memory_bytes as u64,
                call: limits.call,
                output_bytes: limits.output_bytes as u64,
                log_bytes: limits.log_bytes,
            },
            descriptor: (*self.descriptor).clone(),
        }
    }

    /// Takes an instance back after a call that it survived. One that has grown too large is dropped here, between
    /// calls (rule 11).
    pub(crate) fn give_back(&mut self, mut instance: Instance) {
        self.peak = self.peak.max(instance.data().footprint.memory());
        if instance.data().footprint.is_oversized() {
            tracing::debug!(operator = %self.context.operator, "replacing an instance that has grown too large");
        } else {
            self.occupant = Some(instance);
        }
    }

    /// Bytes of memory that an instance has taken at most, as far as its calls went well.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak as u64
    }

    fn open(&mut self) -> Result<Instance, CallFailure> {
        self.made += 1;
        (self.opened_ms, self.taken) = (self.context.clock.now_ms(), 0);
        let context = &self.context;
        let provisions = Provisions {
            limits: self.limits,
            log: Arc::clone(&context.log),
            clock: Arc::clone(&context.clock),
            seed: seed_of(context.seed, self.made),
            metrics: self.descriptor.metrics.len(),
            interrupt: context.interrupt.clone(),
        };
        let mut instance = Instance::new(&self.module, provisions)?;
        if self.module.exports.guest.is_some() {
            self.call_open(&mut instance)?;
        }
        instance.data().footprint.opened();
        Ok(instance)
    }

    fn call_open(&self, instance: &mut Instance) -> Result<(), CallFailure> {
        let context = &self.context;
        let told = Context {
            job: context.job.as_str(),
            operator: context.operator.as_str(),
            subtask: context.subtask.0,
            parallelism: context.parallelism.get(),
            max_parallelism: context.max_parallelism.get(),
            annotations: &[],
        };
        instance.start_deadline();
        let said = instance.call(Phase::Outside, self.opened_ms, |calls, store| {
            let guest = calls.guest.as_ref().expect("only modules that export `guest` are opened");
            guest.call_open(store, &context.parameters, told)
        })?;
        said.map_err(|failure| match failure {
            // There is no record in `open` that could be bad: what the guest cannot work with is its parameters.
            Failure::BadRecord(reason) | Failure::Fatal(reason) => {
                CallFailure::Fatal(format!("`open`: {}", cut(&reason)))
            }
            Failure::Transient(reason) => CallFailure::Transient(format!("`open`: {}", cut(&reason))),
        })
    }
}

/// Another seed for each instance of a seat: one that repeated the numbers of the one before would, for example, give
/// the same "unique" names again. Applied twice with one number, it gives the seed that it began with.
fn seed_of(seed: u64, instance: u64) -> u64 {
    // An odd factor maps different numbers to different seeds; the generator mixes the bits itself.
    seed ^ instance.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a guest says of a call that failed.
pub(crate) fn failure_said(failure: &Failure) -> CallFailure {
    match failure {
        Failure::BadRecord(reason) => CallFailure::BadRecord(cut(reason).to_owned()),
        Failure::Transient(reason) => CallFailure::Transient(cut(reason).to_owned()),
        Failure::Fatal(reason) => CallFailure::Fatal(cut(reason).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_of_a_later_instance_can_be_given_to_a_first_one() {
        for made in [1, 2, 3, 1_000] {
            let drawn = seed_of(0x0123_4567_89ab_cdef, made);
            let recorded = seed_of(drawn, 1);
            assert_eq!(seed_of(recorded, 1), drawn, "instance {made}");
        }
    }
}
