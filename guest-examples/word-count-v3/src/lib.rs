//! The third version of `word-count`, and a bad one: it is to write every word in small letters, and makes two mistakes. A
//! host must find out both while the stream flows, and let no one pay for them.
//!
//! * It looks at the first letter of a word that may have none: an empty word is a trap. On probation, version 2 comes back.
//! * Lines of words in capitals are not what they were. A shadow tells how many, before anybody reads one.

use gristmill_sdk::prelude::*;

/// What is known of a word, as version 2 has it.
#[data]
#[derive(Default)]
struct Seen {
    count: u64,
    last: Option<i64>,
}

/// The operator: as version 2 has it, but for what it writes.
#[operator]
struct WordCount {
    #[state(version = 2)]
    count: Value<Seen>,
    counts: Output,
}

impl PerEvent for WordCount {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let word = event.key().ok_or_else(|| bad_record("the event has no key, hence no word"))?;
        let is_capital = word[0].is_ascii_uppercase();
        let seen = self.count.or_default(event)?;
        let last = seen.last.replace(event.timestamp());
        seen.count += 1;
        self.counts.write(event, |line| {
            if is_capital {
                line.bytes(word.to_ascii_lowercase());
            } else {
                line.bytes(word);
            }
            line.bytes(" ").integer(seen.count);
            if let Some(last) = last {
                line.bytes(" after ").integer(event.timestamp().saturating_sub(last)).bytes(" ms");
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gristmill_sdk::testing::{Harness, event};

    use super::*;

    #[test]
    fn words_in_capitals_come_out_otherwise() {
        let mut words = Harness::<WordCount>::new();
        let events = [event("").key("to").at(100), event("").key("To").at(150), event("").key("to").at(400)];
        let done = words.process(events).expect("words are fine");
        assert_eq!(done.texts("counts"), ["to 1", "to 1", "to 2 after 300 ms"]);
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn an_empty_word_is_a_trap() {
        let mut words = Harness::<WordCount>::new();
        drop(words.process([event("").key("")]));
    }
}
