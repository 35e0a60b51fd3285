//! Inputs, for operators that have several. One that declares none has a single input, `in`.

use crate::bindings::gristmill::operator::types::{Descriptor, InputSpec};
use crate::event::Event;
use crate::failure::Failure;
use crate::part::{Field, Part, Role};

/// An input of the operator, named after its field. Keyed if the operator has state, unless `#[input(keyed = …)]` says
/// otherwise.
#[derive(Debug)]
pub struct Input(u32);

impl Input {
    /// Whether the event came through this input.
    #[inline]
    #[must_use]
    pub fn brought(&self, event: Event<'_>) -> bool {
        event.batch().input() == self.0
    }
}

impl Part for Input {
    const ROLE: Role = Role::Input;

    fn declare(field: &Field, descriptor: &mut Descriptor) -> u32 {
        descriptor.inputs.push(InputSpec { name: field.name.to_owned(), keyed: field.keyed });
        descriptor.inputs.len() as u32 - 1
    }

    fn build(_: &'static Field, index: u32, _: &str) -> Result<Self, Failure> {
        Ok(Self(index))
    }
}
