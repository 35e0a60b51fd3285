//! Gives a schema of its parameters that is JSON, but no JSON Schema.
//! The host must refuse it at upload: the schema is invalid, and where.

use contract::{Descriptor, Operator};

struct BadSchema;

impl Operator for BadSchema {
    fn describe() -> Descriptor {
        Descriptor { parameters_schema: r#"{"type": "numbre"}"#.into(), ..contract::descriptor() }
    }
}

contract::export!(BadSchema);
