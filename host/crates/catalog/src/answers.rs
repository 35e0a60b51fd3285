//! Answers under idempotency keys in the store: those of a day, and no more than a bounded number.

use gristmill_ports::PortError;
use gristmill_ports::catalog::RememberedAnswer;
use redb::{ReadableTable, ReadableTableMetadata, Table};

use crate::record::encode;
use crate::store::{ANSWERS, ANSWERS_BY_TIME, Store, decoded};

/// How long an answer is remembered.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// How many answers are remembered; beyond it the oldest go early.
const KEPT_ANSWERS: u64 = 100_000;

impl Store {
    /// Remembers an answer, unless one of the last day is remembered under the key: then gives that one.
    pub(crate) fn remember_answer(
        &self,
        key: &str,
        answer: &RememberedAnswer,
    ) -> Result<Option<RememberedAnswer>, PortError> {
        self.write(|transaction| {
            let mut answers = transaction.open_table(ANSWERS)?;
            let mut by_time = transaction.open_table(ANSWERS_BY_TIME)?;
            prune(&mut answers, &mut by_time, answer.at_ms)?;
            if let Some(bytes) = answers.get(key)? {
                return decoded(&format!("the answer under `{key}`"), bytes.value()).map(Some);
            }
            answers.insert(key, encode(answer).as_slice())?;
            by_time.insert((answer.at_ms, key), ())?;
            Ok(None)
        })
    }

    /// The answer under a key, if it was given in the day before `now_ms`.
    pub(crate) fn answer(&self, key: &str, now_ms: i64) -> Result<Option<RememberedAnswer>, PortError> {
        self.read(|transaction| {
            let bytes = transaction.open_table(ANSWERS)?.get(key)?;
            let answer: Option<RememberedAnswer> =
                bytes.map(|bytes| decoded(&format!("the answer under `{key}`"), bytes.value())).transpose()?;
            Ok(answer.filter(|answer| answer.at_ms > now_ms - KEPT_MS))
        })
    }
}

/// Forgets answers that are a day old at `now_ms`, and the oldest beyond the number kept.
fn prune(
    answers: &mut Table<&str, &[u8]>,
    by_time: &mut Table<(i64, &str), ()>,
    now_ms: i64,
) -> Result<(), redb::Error> {
    loop {
        let Some(oldest_ms) = by_time.first()?.map(|(at, _)| at.value().0) else { return Ok(()) };
        if oldest_ms > now_ms - KEPT_MS && by_time.len()? < KEPT_ANSWERS {
            return Ok(());
        }
        if let Some((oldest, _)) = by_time.pop_first()? {
            answers.remove(oldest.value().1)?;
        }
    }
}
