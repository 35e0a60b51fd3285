//! Counts the events of each key: as many words as came so far, and the count with every one of them.

use gristmill_sdk::prelude::*;

/// The operator: a count for each word, and the port by which it leaves.
#[operator]
struct WordCount {
    count: Value<u64>,
    counts: Output,
}

impl PerEvent for WordCount {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let word = event.key().ok_or_else(|| bad_record("the event has no key, hence no word"))?;
        let count = self.count.or_default(event)?;
        *count += 1;
        self.counts.write(event, |line| {
            line.bytes(word).bytes(" ").integer(*count);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gristmill_sdk::testing::{Harness, event};

    use super::*;

    #[test]
    fn every_word_comes_with_its_count_so_far() {
        let mut words = Harness::<WordCount>::new();
        let done = words.process(["to", "be", "or", "not", "to", "be"].map(|word| event("").key(word)));
        assert_eq!(done.expect("words are fine").texts("counts"), ["to 1", "be 1", "or 1", "not 1", "to 2", "be 2"]);
    }

    #[test]
    fn a_count_goes_on_in_the_next_batch() {
        let mut words = Harness::<WordCount>::new();
        for _ in 0..3 {
            words.process([event("").key("to"), event("").key("be")]).expect("words are fine");
        }
        assert_eq!(words.value("count", "to"), Some(3_u64));
    }

    #[test]
    fn a_batch_costs_one_read_and_one_write_of_state() {
        let mut words = Harness::<WordCount>::new();
        words.process((0..1000).map(|at| event("").key(format!("word-{}", at % 10)))).expect("words are fine");
        assert_eq!(words.state_calls(), 2);
    }
}
