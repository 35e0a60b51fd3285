//! The hostile guests, and what must become of each.

use serde_json::{Value, json};

/// What becomes of a guest, and the words that its user must read.
pub(crate) enum Fate {
    /// Refused at upload, with this code.
    Refused(&'static str, &'static [&'static str]),
    /// Admitted, but its job does not start.
    NotStarted(&'static [&'static str]),
    /// Every event ends in the dead letters, with this kind of reason.
    AllSetAside(&'static str, &'static [&'static str]),
    /// The one poisonous event does; the others come out in order.
    PoisonSetAside(&'static str, &'static [&'static str]),
    /// The job fails.
    Fails(&'static [&'static str]),
    /// Nothing is wrong with it but its manners: all events come out.
    AllOut,
}
use Fate::{AllOut, AllSetAside, Fails, NotStarted, PoisonSetAside, Refused};

/// The guests of `tests/guests/README.md`, each with what is asked of the host and its fate.
pub(crate) fn guests() -> Vec<(&'static str, Value, Fate)> {
    let plain = || json!({});
    let small_output = || json!({"limits": {"memory": "256MiB", "output": "1MiB"}});
    vec![
        ("wrong-world", plain(), Refused("missing-interface", &["does not export", "processor"])),
        ("forbidden-import", plain(), Refused("forbidden-import", &["`evil:host/files", "remove what needs it"])),
        ("undeclared-import", plain(), Refused("bad-descriptor", &["imports `state`", "declares none"])),
        ("trap-describe", plain(), Refused("bad-descriptor", &["did not answer `describe`", "trap"])),
        ("every-trap", plain(), Refused("bad-descriptor", &["did not answer `describe`", "trap"])),
        ("two-faced", plain(), Refused("bad-descriptor", &["differently in two fresh instances"])),
        ("bad-schema", plain(), Refused("bad-schema", &["not JSON Schema", "/type"])),
        ("trap-open", plain(), NotStarted(&["trap"])),
        ("early-state", plain(), NotStarted(&["state.get"])),
        (
            "spin",
            json!({"limits": {"call": "200ms"}}),
            AllSetAside("deadline", &["longer than 200ms", "`limits.call`"]),
        ),
        ("grow-memory", plain(), AllSetAside("memory limit", &["more than its 32 MiB", "`limits.memory`"])),
        ("stack-bomb", plain(), AllSetAside("trap", &["stack overflowed"])),
        ("trap-process", plain(), AllSetAside("trap", &["gave up"])),
        ("trap-post-return", plain(), AllSetAside("trap", &["gave up"])),
        (
            "giant-output",
            json!({"limits": {"memory": "2GiB"}}),
            AllSetAside("output limit", &["handed over more than", "`limits.output`"]),
        ),
        ("alias-bomb", small_output(), AllSetAside("output limit", &["more than 1 MiB", "`limits.output`"])),
        ("amplify", small_output(), AllSetAside("output limit", &["more than 1 MiB", "`limits.output`"])),
        ("lying-rows-range", plain(), AllSetAside("invalid result", &["`selected` names row", "the batch has"])),
        ("lying-rows-order", plain(), AllSetAside("invalid result", &["not strictly ascending"])),
        ("ends-backwards", plain(), AllSetAside("invalid result", &["ends"])),
        ("undeclared-port", plain(), AllSetAside("invalid result", &["port"])),
        ("undeclared-state", plain(), AllSetAside("invalid result", &["state.get"])),
        ("state-wrong-kind", plain(), AllSetAside("invalid result", &["state.list-append", "value"])),
        ("state-rows-range", plain(), AllSetAside("invalid result", &["state.get", "row"])),
        ("reject-and-emit", plain(), AllSetAside("invalid result", &["both rejected and emitted"])),
        ("created-keys", json!({"parallelism": 2}), AllSetAside("invalid result", &["created row", "key"])),
        ("poison", plain(), PoisonSetAside("bad-record", &["contains `poison`"])),
        ("poison-trap", plain(), PoisonSetAside("trap", &["gave up"])),
        ("poison-reject", plain(), PoisonSetAside("bad-record", &["contains `poison`"])),
        ("transient", plain(), AllOut),
        ("fatal", plain(), Fails(&["it cannot go on"])),
        ("log-flood", plain(), AllOut),
        ("slow", json!({"parameters": {"rounds": 50_000_000}}), AllOut),
    ]
}
