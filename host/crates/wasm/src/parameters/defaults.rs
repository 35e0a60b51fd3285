//! Puts a schema's defaults where parameters have nothing, also within what is there.

use gristmill_ports::module_registry::Refusal;
use serde_json::{Map, Value};

use super::budget::Budget;
use super::referred;

/// How deep defaults are filled in; a schema may refer to itself.
const DEPTH: usize = 32;

/// Fills in what is missing.
///
/// # Errors
/// If the schema makes more work than the budget has.
pub(super) fn fill_in(schema: &Value, value: &mut Value, budget: &mut Budget) -> Result<(), Refusal> {
    Filling { root: schema, budget }.fill_in(schema, value, DEPTH)
}

struct Filling<'a> {
    root: &'a Value,
    budget: &'a mut Budget,
}

impl<'a> Filling<'a> {
    fn fill_in(&mut self, schema: &'a Value, value: &mut Value, depth: usize) -> Result<(), Refusal> {
        self.budget.step()?;
        if depth == 0 {
            return Ok(());
        }
        let reference = schema.get("$ref").and_then(Value::as_str);
        if let Some(target) = reference.and_then(|reference| referred(self.root, reference)) {
            self.fill_in(target, value, depth - 1)?;
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.fill_in(part, value, depth - 1)?;
        }
        match value {
            Value::Object(fields) => self.fill_in_fields(schema, fields, depth),
            Value::Array(items) => match schema.get("items") {
                Some(of_item) => items.iter_mut().try_for_each(|item| self.fill_in(of_item, item, depth - 1)),
                None => Ok(()),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn fill_in_fields(
        &mut self,
        schema: &'a Value,
        fields: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Refusal> {
        for (name, of_field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if !fields.contains_key(name)
                && let Some(default) = self.default_of(of_field)
            {
                self.budget.copy(default)?;
                fields.insert(name.clone(), default.clone());
            }
            if let Some(field) = fields.get_mut(name) {
                self.fill_in(of_field, field, depth - 1)?;
            }
        }
        Ok(())
    }

    /// A field's own default, or that of the definition it refers to.
    fn default_of(&self, schema: &'a Value) -> Option<&'a Value> {
        schema.get("default").or_else(|| referred(self.root, schema.get("$ref")?.as_str()?)?.get("default"))
    }
}
