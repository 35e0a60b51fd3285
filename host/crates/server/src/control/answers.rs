//! Answers given under idempotency keys.

use gristmill_ports::catalog::RememberedAnswer;

use super::{Control, ControlError};

impl Control {
    /// The answer given under a key.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn remembered(&self, key: &str) -> Result<Option<RememberedAnswer>, ControlError> {
        let key = key.to_owned();
        self.ask(move |catalog| catalog.answer(&key)).await
    }

    /// Remembers an answer; one that is remembered already stays.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn remember(
        &self,
        key: &str,
        request_hash: [u8; 32],
        status: u16,
        body: String,
    ) -> Result<(), ControlError> {
        let key = key.to_owned();
        let answer = RememberedAnswer { request_hash, status, body, at_ms: self.now_ms() };
        self.ask(move |catalog| catalog.remember_answer(&key, &answer)).await.map(drop)
    }
}
