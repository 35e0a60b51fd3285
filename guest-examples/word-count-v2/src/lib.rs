//! The second version of `word-count`, to take over from it while the stream flows: it tells with every count how long the
//! word was away, for which it keeps a time as well. What version 1 has counted is migrated.

use gristmill_sdk::prelude::*;

/// What is known of a word.
#[data]
#[derive(Default)]
struct Seen {
    count: u64,
    /// Time of its last event; none if only version 1 has seen the word.
    last: Option<i64>,
}

/// The operator: as version 1 has it, but for the type of its state.
#[operator]
struct WordCount {
    #[state(version = 2)]
    #[migrate(from = 1, was = Value<u64>, with = counted)]
    #[migrate(to = 1, was = Value<u64>, with = |seen: Seen| seen.count)]
    count: Value<Seen>,
    counts: Output,
}

/// Version 1 counted, and kept no time.
fn counted(count: u64) -> Seen {
    Seen { count, last: None }
}

impl PerEvent for WordCount {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let word = event.key().ok_or_else(|| bad_record("the event has no key, hence no word"))?;
        let seen = self.count.or_default(event)?;
        let last = seen.last.replace(event.timestamp());
        seen.count += 1;
        self.counts.write(event, |line| {
            line.bytes(word).bytes(" ").integer(seen.count);
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
    fn a_count_tells_how_long_the_word_was_away() {
        let mut words = Harness::<WordCount>::new();
        let events = [event("").key("to").at(100), event("").key("be").at(150), event("").key("to").at(400)];
        let done = words.process(events).expect("words are fine");
        assert_eq!(done.texts("counts"), ["to 1", "be 1", "to 2 after 300 ms"]);
    }

    #[test]
    fn what_version_1_has_counted_goes_on() {
        let mut words = Harness::<WordCount>::new();
        words.migrate::<Value<u64>>("count", 1, "to", &41).expect("a migration");
        let events = [event("").key("to").at(100), event("").key("to").at(105)];
        let done = words.process(events).expect("words are fine");
        assert_eq!(done.texts("counts"), ["to 42", "to 43 after 5 ms"]);
    }

    #[test]
    fn version_1_can_take_its_counts_back() {
        let mut words = Harness::<WordCount>::new();
        words.process([event("").key("to"), event("").key("to")]).expect("words are fine");
        assert_eq!(words.migrate_back::<Value<u64>>("count", 1, "to"), Ok(Some(2)));
    }
}
