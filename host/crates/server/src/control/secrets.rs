//! What `${env:X}` stands for, kept out of everything that is shown.
//!
//! Placeholders are resolved just before a job starts. Whoever shows a text that a resolved value may have reached (an
//! error of a connector, a complaint about parameters) passes it through [`Secrets::hide`].

use std::sync::{Mutex, PoisonError};

use gristmill_dataflow::environment::{has_placeholder, placeholder};
use gristmill_ports::Veil;
use serde_json::Value;

/// The values that placeholders of one job were resolved to.
#[derive(Default)]
pub(crate) struct Secrets {
    known: Mutex<Vec<(String, String)>>,
}

/// Names only.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(known.iter().map(|(name, _)| name)).finish()
    }
}

impl Secrets {
    /// Notes what a variable stood for, as it is and as it looks inside JSON.
    pub(crate) fn note(&self, name: &str, value: &str) {
        if !value.is_empty() {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.push((name.to_owned(), value.to_owned()));
            let escaped = Value::from(value).to_string();
            let escaped = &escaped[1..escaped.len() - 1];
            if escaped != value {
                known.push((name.to_owned(), escaped.to_owned()));
            }
            // The longest first, so that no part of a secret remains where another is contained in it.
            known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        }
    }
}

impl Veil for Secrets {
    fn hide(&self, text: &str) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(value, &placeholder(name)))
    }
}

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
    fn a_secret_is_hidden_even_where_another_is_part_of_it() {
        let secrets = Secrets::default();
        secrets.note("USER", "ana");
        secrets.note("PASSWORD", "banana-split");
        secrets.note("EMPTY", "");
        assert_eq!(
            secrets.hide("ana cannot log in with banana-split"),
            "${env:USER} cannot log in with ${env:PASSWORD}"
        );
    }

    #[test]
    fn a_secret_is_hidden_inside_json_too() {
        let secrets = Secrets::default();
        secrets.note("PASSWORD", r#"say "friend""#);
        assert_eq!(secrets.hide(r#"{"cause":"refused: say \"friend\""}"#), r#"{"cause":"refused: ${env:PASSWORD}"}"#);
    }

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

    #[test]
    fn debug_shows_names_only() {
        let secrets = Secrets::default();
        secrets.note("TOKEN", "s3cret");
        assert_eq!(format!("{secrets:?}"), r#"{"TOKEN"}"#);
    }
}
