//! Parameters: is the schema one, do they fit it, and what are they once its defaults are filled in (rule 24).
//!
//! The schema is a stranger's, and so may be the parameters: both walks over them are on a budget. Values are never
//! repeated in a message: a parameter may hold a secret.

mod budget;
mod defaults;
mod weight;
mod findings;

use gristmill_ports::module_registry::Refusal;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use self::budget::Budget;
use crate::refusal::{BAD_PARAMETERS, BAD_SCHEMA, refuse};

/// A JSON Schema 2020-12 that was checked, or none.
pub(crate) struct Schema(Option<(Value, Validator)>);

impl Schema {
    /// Reads the schema of a descriptor; an empty text is none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let bad = |error: String| {
            refuse(BAD_SCHEMA, format!("the parameters' schema in the descriptor is not JSON Schema 2020-12: {error}"))
        };
        let schema: Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        jsonschema::draft202012::meta::validate(&schema)
            .map_err(|error| bad(format!("at `{}`: {error}", findings::shown(error.instance_path().as_str()))))?;
        weight::check_references(&schema)?;
        // `pattern`s come from strangers: an engine that cannot be made to backtrack for ever.
        let options = jsonschema::draft202012::options().with_pattern_options(PatternOptions::regex());
        let validator = options.build(&schema).map_err(|error| bad(error.to_string()))?;
        Ok(Self(Some((schema, validator))))
    }

    /// Tries the schema on no parameters at all, so that one that never ends is found when its module is admitted.
    ///
    /// # Errors
    /// If it asks for more work than a schema may.
    pub(crate) fn rehearse(&self) -> Result<(), Refusal> {
        let Some((schema, _)) = &self.0 else { return Ok(()) };
        filled_in(schema, Value::Object(Map::new())).map(drop)
    }

    /// The parameters as JSON, with defaults filled in.
    ///
    /// # Errors
    /// Every place where they do not fit; or that the schema asks for more work than it may.
    pub(crate) fn apply(&self, given: Option<&Value>) -> Result<String, Refusal> {
        let parameters = match given {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(given) => given.clone(),
        };
        let Some((schema, validator)) = &self.0 else {
            if parameters.as_object().is_some_and(Map::is_empty) {
                return Ok(parameters.to_string());
            }
            return Err(refuse(BAD_PARAMETERS, "the module takes no parameters; remove `parameters`"));
        };
        let parameters = filled_in(schema, parameters)?;
        match findings::of(schema, validator.iter_errors(&parameters)) {
            Some(refusal) => Err(refusal),
            None => Ok(parameters.to_string()),
        }
    }
}

/// The parameters with defaults, which the validator can then go through in bounded time.
fn filled_in(schema: &Value, mut parameters: Value) -> Result<Value, Refusal> {
    let mut budget = Budget::of(&parameters);
    defaults::fill_in(schema, &mut parameters, &mut budget)?;
    weight::weigh(schema, &parameters, &mut budget)?;
    Ok(parameters)
}

/// The part of the same schema that a local reference points to.
fn referred<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

#[cfg(test)]
mod tests;
