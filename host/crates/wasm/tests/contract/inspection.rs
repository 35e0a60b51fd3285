//! A module that shows its state: what people see of it, and how it is held to its word (rule 22).

use std::sync::Arc;
use std::time::Duration;

use gristmill_ports::Signal;
use gristmill_ports::clock::ManualClock;
use gristmill_ports::inspection::{Inspected, Inspector, ShownEntry, StoredEntry};
use gristmill_ports::module_registry::{ModuleRegistry, PrepareOptions};
use gristmill_types::CallFailure;
use gristmill_types::failure::FaultKind::{Deadline, InvalidResult, OutputLimit, Trap};

use super::fixture::{Heard, Registry, assert_fault, context, options};
use super::guest::{Guest, HONEST};
use super::versions::{example, odd};

/// An inspector, and the registry that it is of.
struct Inspecting {
    inspector: Box<dyn Inspector>,
    _registry: Registry,
}

fn inspecting(bytes: &[u8], options: &PrepareOptions) -> Option<Inspecting> {
    let registry = Registry::new();
    let prepared = registry.modules.prepare(bytes, options).expect("admitted");
    let (heard, interrupt) = (Arc::new(Heard::default()), Signal::default());
    let context = context(&prepared.parameters, &heard, &Arc::new(ManualClock::default()), &interrupt);
    let inspector = prepared.factory.inspector(context).expect("it opens")?;
    Some(Inspecting { inspector, _registry: registry })
}

fn strange() -> Inspecting {
    let options = PrepareOptions { call: Duration::from_millis(200), memory_bytes: 64 << 20, ..options() };
    inspecting(&odd("inspect-strange"), &options).expect("it exports `inspection`")
}

const COUNT: Inspected<'static> = Inspected { state: "count", version: 1 };

fn stored(value: &[u8]) -> StoredEntry {
    StoredEntry { name: None, value: Some(value.to_vec()) }
}

fn shown(value: &str) -> ShownEntry {
    ShownEntry { name: None, value: Some(value.to_owned()) }
}

#[test]
fn a_module_without_the_interface_makes_no_inspector() {
    assert!(inspecting(&Guest::new(&HONEST).process("unreachable").build(), &options()).is_none());
}

#[test]
fn typed_state_is_json_without_a_word_of_its_author() {
    let mut v1 = inspecting(&example("word-count"), &options()).expect("the SDK exports it");
    assert_eq!(v1.inspector.render(COUNT, &stored(&[41])), Ok(shown("41")));
    assert_eq!(v1.inspector.parse(COUNT, &shown("300")), Ok(stored(&[0xac, 2])));

    let mut v2 = inspecting(&example("word-count-v2"), &options()).expect("the SDK exports it");
    let newer = Inspected { version: 2, ..COUNT };
    let json = r#"{"count":3,"last":-5}"#;
    let bytes = v2.inspector.parse(newer, &shown(json)).expect("an entry");
    assert_eq!(v2.inspector.render(newer, &bytes), Ok(shown(json)));
    // What is of no use to it is refused, and it goes on.
    let why = v2.inspector.parse(newer, &shown("3")).expect_err("a number is no struct");
    assert!(
        matches!(&why, CallFailure::BadRecord(why) if why.contains("`parse` of state `count`: `3` is not a")),
        "{why}"
    );
    let why = v2.inspector.render(COUNT, &stored(&[41])).expect_err("another version");
    assert!(why.to_string().contains("no state `count` of version 1"), "{why}");
    assert_eq!(v2.inspector.render(newer, &bytes), Ok(shown(json)));
}

#[test]
fn what_a_module_shows_wrongly_is_its_fault_and_the_next_entry_finds_a_new_instance() {
    let mut strange = strange();
    for (value, kind, says) in [
        ("trap", Trap, "unreachable"),
        ("spin", Deadline, "the call took longer than"),
        ("giant", OutputLimit, "handed over more than"),
        ("nothing", InvalidResult, "`render` was given a value, and returned none"),
        ("prose", InvalidResult, "the value that `render` returned is not JSON"),
    ] {
        assert_fault(strange.inspector.render(COUNT, &stored(value.as_bytes())), kind, says);
        assert_eq!(strange.inspector.render(COUNT, &stored(b"well")), Ok(shown("\"well\"")), "behind {value}");
    }
    let why = strange.inspector.render(COUNT, &stored(b"refuse")).expect_err("refused");
    assert_eq!(why, CallFailure::BadRecord("`render` of state `count`: it is not to be shown".to_owned()));
    let named = strange.inspector.parse(COUNT, &shown("\"named\""));
    assert_fault(named, InvalidResult, "`parse` returned a name, and was given none");
}
