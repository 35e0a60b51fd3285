//! Honest, in the literal world `event-operator`: counts the events of each key, and emits the count as decimal text
//! under the same key. A value that contains `poison` is called a bad record, after the count has been written.
//! The host must take such a write back: a failed call leaves no trace in the state.

wit_bindgen::generate!({ path: "../../../wit", world: "event-operator" });

use exports::gristmill::operator::event_handler::{Event, Failure, Guest};
use gristmill::operator::event_state;

struct EventCount;

impl Guest for EventCount {
    fn on_event(event: Event) -> Result<Vec<Event>, Failure> {
        let before = event_state::get().map_or(Ok(0), |bytes| bytes.try_into().map(u64::from_le_bytes));
        let count = 1 + before.map_err(|_| Failure::Fatal("the state is not a count of 8 bytes".into()))?;
        event_state::put(&count.to_le_bytes());

        let poison = |value: &Vec<u8>| value.windows(6).any(|part| part == b"poison");
        if event.value.as_ref().is_some_and(poison) {
            return Err(Failure::BadRecord("the value contains `poison`".into()));
        }
        Ok(vec![Event { value: Some(count.to_string().into_bytes()), ..event }])
    }
}

export!(EventCount);
