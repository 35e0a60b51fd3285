//! What `${env:X}` stands for, kept out of everything that is shown.
//!
//! Placeholders are resolved just before a job starts. Whoever shows a text that a resolved value may have reached (an
//! error of a connector, a complaint about parameters) passes it through [`Secrets`].

use gristmill_dataflow::environment::has_placeholder;
pub(crate) use gristmill_ports::veil::Secrets;
use serde_json::Value;

/// Puts placeholders of the author's own text back in their places in a filled-in copy of it.
pub(crate) fn put_back(written: &Value, filled_in: &mut Value) {
    match (written, filled_in) {
        (Value::String(text), filled_in) if has_placeholder(text) => *filled_in = Value::String(text.clone()),
        (Value::Object(written), Value::Object(filled_in)) => {
            for (name, value) in written {
                if let Some(filled_in) = filled_in.get_mut(name) {
                    put_back(value, filled_in);
                }
            }
        }
        (Value::Array(written), Value::Array(filled_in)) => {
            written.iter().zip(filled_in).for_each(|(value, filled_in)| put_back(value, filled_in));
        }
        (_, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filled_in_parameters_show_placeholders_and_defaults() {
        let written = json!({"token": "${env:TOKEN}", "hosts": ["a", "http://${env:HOST}/"], "n": 3});
        let mut filled_in = json!({"token": "s3cret", "hosts": ["a", "http://internal/"], "n": 3, "retries": 5});
        put_back(&written, &mut filled_in);
        assert_eq!(
            filled_in,
            json!({"token": "${env:TOKEN}", "hosts": ["a", "http://${env:HOST}/"], "n": 3, "retries": 5})
        );
    }
}
