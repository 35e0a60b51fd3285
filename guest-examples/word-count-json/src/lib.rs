//! `word-count` 1.1: its lines are JSON now. The state is the same, so that a swap has nothing to rewrite.

use gristmill_sdk::prelude::*;

/// A line of output.
#[data]
struct Line<'a> {
    word: &'a str,
    count: u64,
}

/// The operator: as version 1.0 has it, but for what it writes.
#[operator]
struct WordCount {
    count: Value<u64>,
    counts: Output,
}

impl PerEvent for WordCount {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let word = event.key().and_then(|word| std::str::from_utf8(word).ok());
        let word = word.ok_or_else(|| bad_record("the event's key is no text, hence no word"))?;
        let count = self.count.or_default(event)?;
        *count += 1;
        self.counts.json(event, &Line { word, count: *count })
    }
}

#[cfg(test)]
mod tests {
    use gristmill_sdk::testing::{Harness, event};

    use super::*;

    #[test]
    fn every_word_comes_with_its_count_as_json() {
        let mut words = Harness::<WordCount>::new();
        let done = words.process(["to", "be", "to"].map(|word| event("").key(word))).expect("words are fine");
        let lines = [r#"{"word":"to","count":1}"#, r#"{"word":"be","count":1}"#, r#"{"word":"to","count":2}"#];
        assert_eq!(done.texts("counts"), lines);
    }
}
