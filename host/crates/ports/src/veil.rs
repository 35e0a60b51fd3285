//! What keeps secrets out of what is stored: placeholders of a job's document are resolved only for its parts.

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
