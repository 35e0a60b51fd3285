//! How much a validator would have to do: walks schema and value as it does, but never stops early and always counts.
//!
//! A validator has no bound of its own: a schema of some hundred bytes that refers to itself twice keeps it busy for
//! ever. What this walk does not know how to follow is refused before, by [`check_references`].

use gristmill_ports::module_registry::Refusal;
use serde_json::Value;

use super::budget::Budget;
use super::referred;
use crate::refusal::{BAD_SCHEMA, refuse};

/// Schemas within schemas, references followed. JSON itself is read to a depth of 128 only.
const DEPTH: usize = 512;

/// Keywords whose schema is put to the same value.
const SAME_VALUE: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords with several schemas that are put to the same value.
const SAME_VALUE_EACH: [&str; 4] = ["allOf", "anyOf", "oneOf", "dependentSchemas"];
/// Keywords whose schema is put to every value inside.
const EVERY_INNER: [&str; 6] =
    ["items", "contains", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "propertyNames"];

/// Refuses references that lead elsewhere than to a place in the same schema.
///
/// # Errors
/// The first of them.
pub(super) fn check_references(schema: &Value) -> Result<(), Refusal> {
    check_within(schema, true)
}

fn check_within(schema: &Value, is_root: bool) -> Result<(), Refusal> {
    match schema {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        Value::Array(items) => items.iter().try_for_each(|item| check_within(item, false)),
        Value::Object(fields) => fields.iter().try_for_each(|(keyword, value)| match (keyword.as_str(), value) {
            ("$ref", Value::String(target)) if !(target == "#" || target.starts_with("#/")) => {
                Err(strange(keyword, target))
            }
            ("$dynamicRef" | "$recursiveRef", Value::String(target)) => Err(strange(keyword, target)),
            ("$id", Value::String(target)) if !is_root => Err(strange(keyword, target)),
            (_, value) => check_within(value, false),
        }),
    }
}

fn strange(keyword: &str, target: &str) -> Refusal {
    let sentence = format!(
        "the parameters' schema in the descriptor has `{keyword}: {target:?}`; within it, refer by `$ref: \"#/…\"` only"
    );
    refuse(BAD_SCHEMA, sentence)
}

/// Counts the steps of a validation.
///
/// # Errors
/// If they are more than the budget has, or the schema refers to itself without going into the value.
pub(super) fn weigh(schema: &Value, value: &Value, budget: &mut Budget) -> Result<(), Refusal> {
    Weighing { root: schema, budget }.weigh(schema, value, DEPTH)
}

struct Weighing<'a> {
    root: &'a Value,
    budget: &'a mut Budget,
}

impl<'a> Weighing<'a> {
    fn weigh(&mut self, schema: &'a Value, value: &Value, depth: usize) -> Result<(), Refusal> {
        self.budget.step()?;
        let Some(keywords) = schema.as_object() else { return Ok(()) };
        let depth = depth.checked_sub(1).ok_or_else(endless)?;
        for (keyword, part) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    if let Some(target) = part.as_str().and_then(|reference| referred(self.root, reference)) {
                        self.weigh(target, value, depth)?;
                    }
                }
                "properties" => self.weigh_fields(part, value, depth)?,
                "prefixItems" | "patternProperties" => {
                    schemas_in(part).try_for_each(|part| self.weigh_inner(part, value, depth))?;
                }
                name if SAME_VALUE.contains(&name) => self.weigh(part, value, depth)?,
                name if SAME_VALUE_EACH.contains(&name) => {
                    schemas_in(part).try_for_each(|part| self.weigh(part, value, depth))?;
                }
                name if EVERY_INNER.contains(&name) => self.weigh_inner(part, value, depth)?,
                // All else looks at the value alone.
                _ => self.budget.step()?,
            }
        }
        Ok(())
    }

    fn weigh_fields(&mut self, schemas: &'a Value, value: &Value, depth: usize) -> Result<(), Refusal> {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            match value.get(name) {
                Some(field) => self.weigh(schema, field, depth)?,
                None => self.budget.step()?,
            }
        }
        Ok(())
    }

    fn weigh_inner(&mut self, schema: &'a Value, value: &Value, depth: usize) -> Result<(), Refusal> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.budget.step(),
            Value::Array(items) => items.iter().try_for_each(|item| self.weigh(schema, item, depth)),
            Value::Object(fields) => fields.values().try_for_each(|field| self.weigh(schema, field, depth)),
        }
    }
}

/// The schemas of a keyword that has several, by place or by name.
fn schemas_in(part: &Value) -> impl Iterator<Item = &Value> {
    part.as_array().into_iter().flatten().chain(part.as_object().into_iter().flat_map(|fields| fields.values()))
}

fn endless() -> Refusal {
    refuse(BAD_SCHEMA, "the parameters' schema in the descriptor refers to itself without end")
}
