//! How much work a schema may make: one account for filling in defaults and for looking at the result.

use gristmill_ports::module_registry::Refusal;
use serde_json::Value;

use crate::refusal::{BAD_SCHEMA, refuse};

/// Steps for a schema on parameters that are empty: a part of it visited, or a value put in.
const STEPS: usize = 10_000;

/// Further steps for each value that the job gives.
const STEPS_OF_A_VALUE: usize = 16;

/// Bytes of text that defaults may put in.
const DEFAULT_BYTES: usize = 1 << 20;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    steps: usize,
    bytes: usize,
}

impl Budget {
    /// The budget for these parameters.
    pub(super) fn of(parameters: &Value) -> Self {
        let steps = STEPS.saturating_add(STEPS_OF_A_VALUE.saturating_mul(values_in(parameters)));
        Self { steps, bytes: DEFAULT_BYTES }
    }

    /// Pays for looking at one part of the schema.
    ///
    /// # Errors
    /// If nothing is left.
    pub(super) fn step(&mut self) -> Result<(), Refusal> {
        self.steps = self.steps.checked_sub(1).ok_or_else(exhausted)?;
        Ok(())
    }

    /// Pays for a default before it is copied, with all that is in it.
    ///
    /// # Errors
    /// If it is too large for what is left.
    pub(super) fn copy(&mut self, value: &Value) -> Result<(), Refusal> {
        self.step()?;
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().try_for_each(|item| self.copy(item)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
                self.text(name)?;
                self.copy(field)
            }),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Refusal> {
        self.bytes = self.bytes.checked_sub(text.len()).ok_or_else(exhausted)?;
        Ok(())
    }
}

fn exhausted() -> Refusal {
    let sentence = format!(
        "the parameters' schema in the descriptor makes too much work: it leads to more than {STEPS} parts and \
         defaults, or to more than {DEFAULT_BYTES} bytes of them; let it refer to itself less"
    );
    refuse(BAD_SCHEMA, sentence)
}

fn values_in(value: &Value) -> usize {
    1 + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => items.iter().map(values_in).sum(),
        Value::Object(fields) => fields.values().map(values_in).sum(),
    }
}
