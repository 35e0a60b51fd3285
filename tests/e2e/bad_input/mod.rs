//! Bad input: each gets a status, a code and a sentence that says what to do; nothing is lost, the host stays up.

mod documents;
mod uploads;
mod surroundings;
