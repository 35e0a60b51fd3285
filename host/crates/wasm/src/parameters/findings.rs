//! From a validator's errors to sentences: first what is unknown, which most often is the cause of the rest.

use gristmill_ports::module_registry::Refusal;
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::refusal::{BAD_PARAMETERS, refuse_all};

/// Findings that a refusal lists.
const FINDINGS: usize = 20;

/// The refusal that lists these errors, if there are any.
pub(super) fn of<'a>(schema: &Value, errors: impl Iterator<Item = ValidationError<'a>>) -> Option<Refusal> {
    let (mut findings, mut others) = (Vec::new(), Vec::new());
    for error in errors {
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                findings.extend(unexpected.iter().take(FINDINGS).map(|name| unknown(schema, &error, name)));
            }
            _ => others.push(other(&error)),
        }
        if findings.len() >= FINDINGS {
            break;
        }
    }
    findings.append(&mut others);
    findings.truncate(FINDINGS);
    refuse_all(BAD_PARAMETERS, findings)
}

/// A JSON pointer; the root's is empty, which nobody would see.
pub(super) fn shown(pointer: &str) -> &str {
    if pointer.is_empty() { "/" } else { pointer }
}

/// A parameter that the schema does not know, and what it may have meant.
fn unknown(schema: &Value, error: &ValidationError<'_>, name: &str) -> String {
    let place = format!("{}/{name}", error.instance_path().as_str());
    let path = error.schema_path().as_str();
    let beside = path.rsplit_once('/').and_then(|(owner, _)| schema.pointer(owner)?.get("properties")?.as_object());
    let known: Vec<&str> = beside.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    match nearest(name, &known) {
        Some(meant) => format!("unknown parameter `{place}`: did you mean \"{meant}\"?"),
        None if known.is_empty() => format!("unknown parameter `{place}`: the schema has none there"),
        None => {
            let listed: Vec<String> = known.iter().take(FINDINGS).map(|name| format!("\"{name}\"")).collect();
            format!("unknown parameter `{place}`: the schema has {}", listed.join(", "))
        }
    }
}

/// The known name that is a slip or two of the finger away, by the length of the wrong one.
fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let slips = (wrong.chars().count() / 3).clamp(1, 3);
    let distances = known.iter().map(|name| (strsim::damerau_levenshtein(wrong, name), *name));
    distances.filter(|(distance, _)| *distance <= slips).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

fn other(error: &ValidationError<'_>) -> String {
    let sentence = error.masked_with("this value");
    match error.instance_path().as_str() {
        "" => format!("parameters: {sentence}"),
        pointer => format!("parameter `{pointer}`: {sentence}"),
    }
}
