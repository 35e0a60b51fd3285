//! What an author implements, and how a call runs through it. Knows the parts of an operator only as a whole.

use crate::bindings::gristmill::operator::types::{self, InputSpec, Outcome, Rejection};

pub use crate::bindings::gristmill::operator::types::{Context, Descriptor};
use crate::event::{Batch, Event};
use crate::failure::Failure;
use crate::log;
use crate::part::Done;

/// An operator that handles events one by one. The usual way.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is an `#[operator]` but does not say what to do with an event",
    label = "write `impl PerEvent for {Self}`",
    note = "an operator that wants whole batches says `#[operator(per_batch)]` and implements `PerBatch`"
)]
pub trait PerEvent {
    /// Called once before the first event; also after a fault, on a new instance.
    ///
    /// # Errors
    /// A failure keeps the job from starting.
    fn open(&mut self, context: &Context) -> Result<(), Failure> {
        let _ = context;
        Ok(())
    }

    /// Handles an event.
    ///
    /// # Errors
    /// [`Failure::BadRecord`] rejects this event alone: what it sent and wrote vanishes. The other kinds undo the whole
    /// call.
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure>;

    /// Called when all events of a batch have been handled: the place to send once what would otherwise be sent for each.
    ///
    /// # Errors
    /// Every failure undoes the whole call.
    fn end_of_batch(&mut self, batch: &Batch) -> Result<(), Failure> {
        let _ = batch;
        Ok(())
    }
}

/// An operator that handles whole batches.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is an `#[operator(per_batch)]` but does not say what to do with a batch",
    label = "write `impl PerBatch for {Self}`"
)]
pub trait PerBatch {
    /// Called once before the first batch; also after a fault, on a new instance.
    ///
    /// # Errors
    /// A failure keeps the job from starting.
    fn open(&mut self, context: &Context) -> Result<(), Failure> {
        let _ = context;
        Ok(())
    }

    /// Handles a batch. An event that is no good is given to `rejected` before anything is written for it: what it sent
    /// vanishes, what it wrote does not.
    ///
    /// # Errors
    /// Every failure undoes the whole call.
    fn on_batch(&mut self, batch: &Batch, rejected: &mut Rejected) -> Result<(), Failure>;
}

/// The events of a batch that were refused.
#[derive(Debug, Default)]
pub struct Rejected(Vec<Rejection>);

impl Rejected {
    /// Refuses an event. Its reason goes to the dead letters.
    pub fn add(&mut self, event: Event<'_>, reason: impl std::fmt::Display) {
        self.0.push(Rejection { row: event.row(), reason: reason.to_string() });
    }

    /// In ascending order, each row once, as the contract wants them.
    fn in_order(mut self) -> Vec<Rejection> {
        self.0.sort_by_key(|rejection| rejection.row);
        self.0.dedup_by_key(|rejection| rejection.row);
        self.0
    }
}

/// What `#[operator]` makes of a struct. Not for authors.
pub trait Operator: Sized {
    /// Ports, states, parameters.
    fn declare() -> Descriptor;

    /// Makes the operator from its parameters, as JSON text.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if they do not fit.
    fn build(parameters: &str) -> Result<Self, Failure>;

    /// The author's `open`.
    ///
    /// # Errors
    /// The author's.
    fn open(&mut self, context: &Context) -> Result<(), Failure>;

    /// The author's function, on a batch.
    ///
    /// # Errors
    /// The author's.
    fn handle(&mut self, batch: &Batch, rejected: &mut Rejected) -> Result<(), Failure>;

    /// A call begins, for each part.
    fn begin(&mut self, batch: &Batch);

    /// A row is rejected, for each part.
    fn roll_back(&mut self, row: u32);

    /// A call ends well, for each part.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if something cannot be written.
    fn finish(&mut self, done: &mut Done<'_>) -> Result<(), Failure>;
}

/// The descriptor of an operator, with the input `in` if it declares none.
#[must_use]
pub fn describe<O: Operator>() -> Descriptor {
    let mut descriptor = O::declare();
    if descriptor.inputs.is_empty() {
        let keyed = !descriptor.states.is_empty();
        descriptor.inputs.push(InputSpec { name: "in".to_owned(), keyed });
    }
    descriptor
}

/// A descriptor that declares nothing.
#[must_use]
pub fn empty_descriptor() -> Descriptor {
    Descriptor {
        inputs: Vec::new(),
        outputs: Vec::new(),
        states: Vec::new(),
        timers: Vec::new(),
        metrics: Vec::new(),
        parameters_schema: String::new(),
        capabilities: Vec::new(),
        annotations: Vec::new(),
    }
}

/// Makes an operator ready for its first call.
///
/// # Errors
/// If the parameters do not fit, or the author's `open` fails.
pub fn open<O: Operator>(parameters: &str, context: &Context) -> Result<O, Failure> {
    let mut operator = O::build(parameters)?;
    operator.open(context)?;
    Ok(operator)
}

/// One call: the batch goes through the operator, the outcome comes out.
///
/// # Errors
/// If the whole call failed. Nothing of it must then take effect.
pub fn process<O: Operator>(
    operator: &mut O,
    call: types::Call,
    input: u32,
    events: types::Batch,
) -> Result<Outcome, Failure> {
    let batch = Batch::new(call, input, events);
    let mut rejected = Rejected::default();
    operator.begin(&batch);
    let handled = operator.handle(&batch, &mut rejected);
    log::leave_rows();
    handled?;
    let rejections = rejected.in_order();
    let mut done = Done { batch: &batch, rejections: &rejections, emissions: Vec::new() };
    operator.finish(&mut done)?;
    let emissions = done.emissions;
    Ok(Outcome { emissions, rejections })
}

/// `handle` for an operator that handles events one by one.
///
/// # Errors
/// The author's, but for rejections.
#[inline]
pub fn each_event<O: Operator + PerEvent>(
    operator: &mut O,
    batch: &Batch,
    rejected: &mut Rejected,
) -> Result<(), Failure> {
    for event in batch.iter() {
        log::enter_row(event.row());
        match operator.on_event(event) {
            Ok(()) => {}
            Err(Failure::BadRecord(reason)) => {
                operator.roll_back(event.row());
                rejected.add(event, reason);
            }
            Err(failure @ (Failure::Transient(_) | Failure::Fatal(_))) => return Err(failure),
        }
    }
    log::leave_rows();
    operator.end_of_batch(batch)
}
