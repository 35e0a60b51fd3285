//! What keeps secrets out of what is stored: placeholders of a job's document are resolved only for its parts.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_dataflow::environment::placeholder;
use serde_json::Value;

/// Knows what placeholders stand for.
pub trait Veil: Send + Sync {
    /// The text with every secret put back to its placeholder.
    fn hide(&self, text: &str) -> String;
}

/// There are no secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Veil for NoSecrets {
    fn hide(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// The values that placeholders of one job were resolved to.
#[derive(Default)]
pub struct Secrets {
    known: Mutex<Vec<(String, String)>>,
}

/// Names only.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known();
        f.debug_set().entries(known.iter().map(|(name, _)| name)).finish()
    }
}

impl Secrets {
    /// Notes what a variable stood for, as it is and as it looks inside JSON.
    pub fn note(&self, name: &str, value: &str) {
        if !value.is_empty() {
            let mut known = self.known();
            // Each swap, shadow and dry run resolves them anew.
            if known.iter().any(|(of, there)| of == name && there == value) {
                return;
            }
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

    fn known(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Veil for Secrets {
    fn hide(&self, text: &str) -> String {
        self.known().iter().fold(text.to_owned(), |text, (name, value)| text.replace(value, &placeholder(name)))
    }
}

#[cfg(test)]
mod tests {
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
    fn debug_shows_names_only() {
        let secrets = Secrets::default();
        secrets.note("TOKEN", "s3cret");
        assert_eq!(format!("{secrets:?}"), r#"{"TOKEN"}"#);
    }
}
