//! `job check`: what is wrong with a document, without a host.

use std::path::Path;
use std::process::ExitCode;

use gristmill_dataflow::{JobDocument, place, validate_offline};
use serde_json::{Value, json};

use super::output::Output;
use crate::local::read_document;

/// Says everything that can be said of a document without its modules.
pub(crate) fn check(file: &Path, out: &Output) -> anyhow::Result<ExitCode> {
    let text = read_document(file)?;
    let name = file.display();
    let (findings, ok) = match JobDocument::parse(&text) {
        Err(error) => {
            let finding = json!({"severity": "error", "line": error.line, "column": error.column,
                "message": error.message, "hint": error.hint});
            out.note(&format!("{name}: {error}\n{}", error.snippet()));
            (vec![finding], false)
        }
        Ok(document) => {
            let mut problems = validate_offline(&document);
            place(&mut problems, &text);
            problems.iter().for_each(|problem| out.note(&format!("{name}: {problem}")));
            let ok = !problems.iter().any(gristmill_dataflow::Problem::is_error);
            (problems.iter().map(|problem| serde_json::to_value(problem).unwrap_or(Value::Null)).collect(), ok)
        }
    };
    let verdict = json!({"file": name.to_string(), "ok": ok, "problems": findings});
    out.result(&verdict, |_| {
        if ok { format!("{name}: no errors; modules are checked when it is submitted") } else { String::new() }
    })?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(super::NOT_STARTED) })
}
