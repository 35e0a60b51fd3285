//! What `#[operator]` makes of an operator's states for people: JSON there and back.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use gristmill_sdk::inspection::{Inspect, Shown, Stored};
use gristmill_sdk::prelude::*;

#[data]
struct Seen {
    count: u64,
    last: Option<i64>,
}

#[operator]
struct Counting {
    #[state(version = 3)]
    seen: Value<Seen>,
    recent: List<String>,
    #[state(name = "by_hour")]
    hours: Map<(u32, String), u64>,
    /// A port may bear the name of a state.
    #[output(name = "by_hour")]
    out: Output,
}

impl PerEvent for Counting {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        self.out.pass(event);
        Ok(())
    }
}

fn shown(name: Option<&str>, value: Option<&str>) -> Shown {
    Shown { name: name.map(str::to_owned), value: value.map(str::to_owned) }
}

#[test]
fn entries_of_every_kind_are_json_and_come_back_as_they_were() {
    for (state, version, name, value) in [
        ("seen", 3, None, Some(r#"{"count":7,"last":null}"#)),
        ("recent", 1, None, Some(r#""to be""#)),
        ("by_hour", 1, Some(r#"[9,"mon"]"#), Some("42")),
        ("by_hour", 1, Some(r#"[9,"mon"]"#), None),
    ] {
        let stored = Counting::parse(state, version, shown(name, value)).unwrap();
        assert_eq!(stored.name.is_some(), name.is_some());
        let again = Counting::render(state, version, stored).unwrap();
        assert_eq!((again.name.as_deref(), again.value.as_deref()), (name, value), "{state}");
    }
}

#[test]
fn what_is_no_entry_of_a_state_is_refused_in_words() {
    let parse = |state, version, name, value| Counting::parse(state, version, shown(name, value)).unwrap_err();
    assert!(parse("seen", 3, None, Some("seven")).contains("`seven` is not a "));
    assert!(parse("seen", 3, None, Some("7")).contains("Seen"));
    assert!(parse("recent", 1, Some("1"), None).contains("only entries of a map"));
    assert_eq!(parse("seen", 2, None, Some("7")), "the module has no state `seen` of version 2");
    assert_eq!(parse("out", 1, None, Some("7")), "the module has no state `out` of version 1");
    let torn = Stored { name: None, value: Some(vec![0xff]) };
    assert!(Counting::render("seen", 3, torn).unwrap_err().contains("the bytes of the value are not a"));
    let strange = Stored { name: Some(vec![1]), value: None };
    assert!(Counting::render("by_hour", 1, strange).unwrap_err().contains("the bytes of the name are not a"));
}
