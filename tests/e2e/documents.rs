//! Job documents that many tests need.

use serde_json::{Value, json};

/// Events from `from`, through the operator `it`, into the file `JOB.out`.
///
/// The source is called `events`, the sink `out`; the module's input must be called `in`.
pub(crate) fn through(module: &str, job: &str, from: &Value) -> Value {
    json!({
        "version": 1,
        "job": job,
        "sources": {"events": {"from": from}},
        "operators": {"it": {"module": module, "inputs": {"in": {"from": "events"}}}},
        "sinks": {"out": {"inputs": ["it"], "to": {"file": {"path": format!("{job}.out")}}}},
    })
}

/// Events from `from` straight into the file `JOB.out`, decoded so.
pub(crate) fn copied(job: &str, from: &Value, decode: &Value) -> Value {
    json!({
        "version": 1,
        "job": job,
        "sources": {"events": {"from": from, "decode": decode}},
        "sinks": {"out": {"inputs": ["events"], "to": {"file": {"path": format!("{job}.out")}}}},
    })
}

/// The same job, with a checkpoint every moment.
pub(crate) fn often(mut document: Value) -> Value {
    document["checkpoint"] = json!({"every": "50ms"});
    document
}

/// A source of posted events.
pub(crate) fn posted() -> Value {
    json!({"http": {}})
}

/// A source that reads a file, or several.
pub(crate) fn file(path: &str) -> Value {
    json!({"file": {"path": path}})
}
