//! Keeps the events whose byte at a place equals a letter.

use gristmill_sdk::prelude::*;

/// What the job says under `parameters:`.
#[parameters]
struct Settings {
    /// The place of the byte in the value, from 0.
    offset: usize,
    /// The letter to keep, an ASCII character.
    letter: char,
}

/// The operator: its parameters and its one output port.
#[operator]
struct Filter {
    settings: Parameters<Settings>,
    kept: Output,
}

impl PerEvent for Filter {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let byte = event.bytes().get(self.settings.offset);
        if byte.is_some_and(|&byte| char::from(byte) == self.settings.letter) {
            self.kept.pass(event);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gristmill_sdk::testing::{Harness, event};
    use serde_json::json;

    use super::*;

    #[test]
    fn only_events_with_the_letter_at_the_place_are_kept() {
        let mut filter = Harness::<Filter>::open(&json!({"offset": 2, "letter": "A"})).expect("good parameters");
        let done = filter.process([event("xxA"), event("xxB"), event("A"), event("")]).expect("nothing can fail");
        assert_eq!(done.texts("kept"), ["xxA"]);
    }

    #[test]
    fn a_parameter_with_a_slip_is_refused_by_its_name() {
        let reason = gristmill_sdk::testing::refusal::<Filter>(&json!({"offset": 2, "leter": "A"}));
        assert!(reason.contains("unknown field `leter`"), "{reason}");
    }
}
