//! Parameters: is the schema one, do they fit it, and what are they once its defaults are filled in (rule 24).
//!
//! Values are never repeated in a message: a parameter may hold a secret.

use gristmill_ports::module_registry::Refusal;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use crate::refusal::{BAD_PARAMETERS, BAD_SCHEMA, refuse, refuse_all};

/// Findings that a refusal lists.
const FINDINGS: usize = 20;

/// How deep defaults are filled in; a schema may refer to itself.
const DEPTH: usize = 32;

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
            .map_err(|error| bad(format!("at `{}`: {error}", place(error.instance_path().as_str()))))?;
        // `pattern`s come from strangers: an engine that cannot be made to backtrack for ever.
        let options = jsonschema::draft202012::options().with_pattern_options(PatternOptions::regex());
        let validator = options.build(&schema).map_err(|error| bad(error.to_string()))?;
        Ok(Self(Some((schema, validator))))
    }

    /// The parameters as JSON, with defaults filled in.
    ///
    /// # Errors
    /// Every place where they do not fit.
    pub(crate) fn apply(&self, given: Option<&Value>) -> Result<String, Refusal> {
        let mut parameters = match given {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(given) => given.clone(),
        };
        let Some((schema, validator)) = &self.0 else {
            if parameters.as_object().is_some_and(Map::is_empty) {
                return Ok(parameters.to_string());
            }
            return Err(refuse(BAD_PARAMETERS, "the module takes no parameters; remove `parameters`"));
        };
        fill_in(schema, schema, &mut parameters, DEPTH);
        let findings: Vec<String> = validator
            .iter_errors(&parameters)
            .take(FINDINGS)
            .map(|error| {
                format!("parameter `{}`: {}", place(error.instance_path().as_str()), error.masked_with("this value"))
            })
            .collect();
        match refuse_all(BAD_PARAMETERS, findings) {
            Some(refusal) => Err(refusal),
            None => Ok(parameters.to_string()),
        }
    }
}

/// A JSON pointer; the root's is empty, which nobody would see.
fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "/" } else { pointer }
}

/// Puts the schema's defaults where the value has nothing, also within what is there.
fn fill_in(root: &Value, schema: &Value, value: &mut Value, depth: usize) {
    if depth == 0 {
        return;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|reference| referred(root, reference)) {
        fill_in(root, target, value, depth - 1);
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        fill_in(root, part, value, depth - 1);
    }
    match value {
        Value::Object(fields) => fill_in_fields(root, schema, fields, depth),
        Value::Array(items) => {
            if let Some(item_schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill_in(root, item_schema, item, depth - 1));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fill_in_fields(root: &Value, schema: &Value, fields: &mut Map<String, Value>, depth: usize) {
    for (name, field_schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if !fields.contains_key(name)
            && let Some(default) = default_of(root, field_schema)
        {
            fields.insert(name.clone(), default.clone());
        }
        if let Some(field) = fields.get_mut(name) {
            fill_in(root, field_schema, field, depth - 1);
        }
    }
}

/// A field's own default, or that of the definition it refers to.
fn default_of<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    schema.get("default").or_else(|| referred(root, schema.get("$ref")?.as_str()?)?.get("default"))
}

/// The part of the same schema that a local reference points to.
fn referred<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r##"{
        "type": "object",
        "properties": {
            "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "default": "EUR"},
            "limits": {"type": "object", "properties": {"max": {"type": "integer", "maximum": 9, "default": 5}}},
            "routes": {"type": "array", "items": {"$ref": "#/$defs/route"}}
        },
        "additionalProperties": false,
        "$defs": {"route": {"type": "object", "properties": {"weight": {"type": "integer", "default": 1}}}}
    }"##;

    // Rule 24.
    #[test]
    fn defaults_are_filled_in_also_deep_inside() {
        let schema = Schema::parse(SCHEMA).expect("a sound schema");
        let cases = [
            (None, json!({"currency": "EUR"})),
            (Some(json!(null)), json!({"currency": "EUR"})),
            (
                Some(json!({"limits": {}, "routes": [{}, {"weight": 3}]})),
                json!({"currency": "EUR", "limits": {"max": 5}, "routes": [{"weight": 1}, {"weight": 3}]}),
            ),
        ];
        for (given, expected) in cases {
            let filled = schema.apply(given.as_ref()).expect("fitting parameters");
            assert_eq!(serde_json::from_str::<Value>(&filled).expect("JSON"), expected);
        }
    }

    // Rule 24.
    #[test]
    fn parameters_that_do_not_fit_are_told_by_place_and_without_their_value() {
        let schema = Schema::parse(SCHEMA).expect("a sound schema");
        let refusal =
            schema.apply(Some(&json!({"limits": {"max": 12}, "currency": "s3cret"}))).expect_err("two findings");
        let all = refusal.details.join("; ");
        assert_eq!(refusal.code, BAD_PARAMETERS);
        assert!(all.contains("`/limits/max`") && all.contains("`/currency`"), "{all}");
        assert!(!all.contains("s3cret"), "{all}");
        let unknown = schema.apply(Some(&json!({"curency": "USD"}))).expect_err("an unknown parameter");
        assert!(unknown.message.contains("curency"), "{}", unknown.message);
    }

    #[test]
    fn a_module_without_schema_takes_no_parameters() {
        let none = Schema::parse("").expect("no schema");
        assert_eq!(none.apply(None).as_deref(), Ok("{}"));
        assert_eq!(none.apply(Some(&json!({"a": 1}))).expect_err("too many").code, BAD_PARAMETERS);
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        for bad in [
            "{",
            "3",
            r#"{"type": "strin"}"#,
            r#"{"properties": 3}"#,
            r#"{"pattern": "("}"#,
            r##"{"$ref": "#/nowhere"}"##,
        ] {
            let refusal = Schema::parse(bad).err().unwrap_or_else(|| panic!("{bad} was accepted"));
            assert_eq!(refusal.code, BAD_SCHEMA, "{bad}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_comes_to_an_end() {
        let schema = Schema::parse(r##"{"properties": {"next": {"$ref": "#", "default": {}}}}"##).expect("sound");
        assert!(schema.apply(None).expect("it fits").contains("next"));
    }
}
