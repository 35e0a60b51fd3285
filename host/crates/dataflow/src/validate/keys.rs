//! What is wrong with keys: paths that lead nowhere, and inputs that need a key and have none.

use std::collections::HashSet;

use gristmill_types::{Descriptor, NodeId};

use crate::document::{InputSpec, JobDocument, KeyBy, SourceKind, SourceSpec};
use crate::json_path::FixedPath;
use crate::problem::Problem;
use crate::wiring::Descriptors;

/// Checks each `key_by` as far as the document tells.
pub(super) fn check_paths(document: &JobDocument, problems: &mut Vec<Problem>) {
    for (id, spec) in &document.operators {
        for (name, input) in &spec.inputs {
            let at = format!("operators.{id}.inputs.{name}.key_by");
            match &input.key_by {
                Some(KeyBy::Paths(found)) => paths(&at, found, problems),
                Some(KeyBy::OwnKey) => own_key(&at, input, document, problems),
                None => {}
            }
        }
    }
}

fn paths(at: &str, paths: &[String], problems: &mut Vec<Problem>) {
    let mut seen = HashSet::new();
    for (place, path) in paths.iter().enumerate() {
        let at = if paths.len() == 1 { at.to_owned() } else { format!("{at}[{place}]") };
        match FixedPath::parse(path) {
            Err(error) => {
                let hint = match path.as_str() {
                    "key" => "`key`, the event's own key, stands alone".to_owned(),
                    _ => error.hint,
                };
                problems.push(Problem::error(at, format!("`{path}` {}", error.message)).hint(hint));
            }
            Ok(fixed) => {
                if !seen.insert(fixed) {
                    problems
                        .push(Problem::error(at, format!("`{path}` is named twice")).hint("name it once".to_owned()));
                }
            }
        }
    }
}

/// `key_by: key` after a source that gives no keys would make a dead letter of every event.
fn own_key(at: &str, input: &InputSpec, document: &JobDocument, problems: &mut Vec<Problem>) {
    for id in &input.from {
        let keyless = document.sources.iter().find(|(source, spec)| source.as_str() == id && !gives_keys(spec));
        if keyless.is_some() {
            let message = format!("the source `{id}` gives its events no key");
            let hint = "add `key: $.…` to the source, or name a path into the value here".to_owned();
            problems.push(Problem::error(at, message).hint(hint));
        }
    }
}

fn gives_keys(source: &SourceSpec) -> bool {
    let of_its_own = match &source.from {
        SourceKind::Generator(generator) => generator.keys.is_some(),
        SourceKind::File(_) | SourceKind::Http(_) | SourceKind::Socket(_) => false,
    };
    source.key.is_some() || of_its_own
}

/// Checks that each input which needs a key has one (contract, rule 19).
pub(super) fn check_modules(document: &JobDocument, descriptors: &Descriptors, problems: &mut Vec<Problem>) {
    for (id, spec) in &document.operators {
        let Some(module) = descriptors.get(id) else { continue };
        for (name, _) in spec.inputs.iter().filter(|(_, input)| input.key_by.is_none()) {
            problems.extend(missing_key(id, name, module));
        }
    }
}

fn missing_key(id: &NodeId, name: &str, module: &Descriptor) -> Option<Problem> {
    let input = &module.inputs[module.input(name)?.at()];
    // Where a module declares keyed inputs, its keyed state belongs to those, and its other inputs may come as they are.
    let owns_state = module.is_stateful() && !module.inputs.iter().any(|input| input.keyed);
    let message = if input.keyed {
        format!("the module's input `{name}` must come keyed")
    } else if owns_state {
        format!("the module keeps state for each key, and its input `{name}` has none")
    } else {
        return None;
    };
    let hint = "add `key_by` with the path of the key in the value, or `key_by: key` for the event's own".to_owned();
    Some(Problem::error(format!("operators.{id}.inputs.{name}"), message).hint(hint))
}
