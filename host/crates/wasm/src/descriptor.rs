//! What a module declares: from the contract's words to ours, and whether it can be.

use std::collections::HashSet;

use gristmill_ports::module_registry::Refusal;
use gristmill_types::Descriptor;
use gristmill_types::descriptor::{ClockKind, InputSpec, OutputSpec, StateKind, StateScope, StateSpec, TimerSpec};

use crate::bindings::types as wit;
use crate::parameters::Schema;
use crate::refusal::{BAD_DESCRIPTOR, NOT_SERVED, refuse_all};
use crate::surface::Surface;

/// How many of each a module may declare.
const DECLARED: usize = 256;

/// The longest name, in bytes.
const NAME_BYTES: usize = 63;

/// The descriptor of a module that only exports `event-handler` (rule 5).
pub(crate) fn of_event_handler() -> Descriptor {
    Descriptor {
        inputs: vec![InputSpec { name: "in".to_owned(), keyed: true }],
        outputs: vec![OutputSpec { name: "out".to_owned(), keeps_key: false }],
        states: vec![StateSpec {
            name: "state".to_owned(),
            kind: StateKind::Value,
            scope: StateScope::Keyed,
            version: 1,
            ttl_ms: None,
            ttl_clock: ClockKind::EventTime,
        }],
        ..Descriptor::default()
    }
}

/// Checks a descriptor. Returns what works but deserves a look.
///
/// # Errors
/// All that cannot be, or that this host does not serve.
pub(crate) fn check(descriptor: &Descriptor, surface: &Surface) -> Result<Vec<String>, Refusal> {
    let mut findings = Vec::new();
    let Descriptor { inputs, outputs, states, timers, metrics, capabilities, annotations, parameters_schema } =
        descriptor;
    check_names("input", inputs.iter().map(|input| &input.name), &mut findings);
    check_names("output", outputs.iter().map(|output| &output.name), &mut findings);
    check_names("state", states.iter().map(|state| &state.name), &mut findings);
    check_names("timer", timers.iter().map(|timer| &timer.name), &mut findings);
    check_names("metric", metrics.iter(), &mut findings);
    if inputs.is_empty() {
        findings.push("the descriptor declares no input; an operator has at least one".to_owned());
    }
    if annotations.len() > DECLARED {
        findings.push(format!("the descriptor has {} annotations; at most {DECLARED}", annotations.len()));
    }
    // Rule 2: what the module imports is no more than what it declares.
    if states.is_empty() && surface.imports("state") {
        findings.push(
            "the module imports `state`, but its descriptor declares none: declare its states, or do without"
                .to_owned(),
        );
    }
    if let Some(refusal) = refuse_all(BAD_DESCRIPTOR, findings) {
        return Err(refusal);
    }
    if let Some(refusal) = refuse_all(NOT_SERVED, not_served(states, timers, capabilities)) {
        return Err(refusal);
    }
    Schema::parse(parameters_schema)?.rehearse()?;
    Ok(warnings(descriptor, surface))
}

fn check_names<'a>(kind: &str, names: impl Iterator<Item = &'a String>, findings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for (place, name) in names.enumerate() {
        if place == DECLARED {
            findings.push(format!("the descriptor declares more than {DECLARED} {kind}s"));
            return;
        }
        if name.is_empty() {
            findings.push(format!("{kind} {place} has an empty name"));
        } else if name.len() > NAME_BYTES || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let shown: String = name.chars().take(NAME_BYTES).collect();
            findings.push(format!("{kind} {shown:?}: a name has at most {NAME_BYTES} bytes and no blanks"));
        } else if !seen.insert(name) {
            findings.push(format!("two {kind}s are called `{name}`; names are unique"));
        }
    }
}

/// What the contract has and this version of the host has not.
fn not_served(states: &[StateSpec], timers: &[TimerSpec], capabilities: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let host = "which this version of the host does not serve";
    for state in states {
        let name = &state.name;
        match state.scope {
            StateScope::Keyed => {}
            StateScope::Broadcast => {
                findings.push(format!("state `{name}` is of scope broadcast, which is reserved: declare it keyed"));
            }
        }
        match state.kind {
            StateKind::Value | StateKind::AppendList | StateKind::OrderedMap => {}
            StateKind::Accumulator => findings.push(format!("state `{name}` is an accumulator of windows, {host}")),
        }
        if state.ttl_ms.is_some() {
            findings.push(format!("state `{name}` has a time to live, {host}: delete entries yourself"));
        }
    }
    findings.extend(timers.iter().map(|timer| format!("the module declares timer `{}`, {host}", timer.name)));
    findings.extend(capabilities.iter().map(|name| format!("the module wants capability `{name}`, {host}")));
    findings
}

fn warnings(descriptor: &Descriptor, surface: &Surface) -> Vec<String> {
    let mut warnings = surface.uncalled();
    if !descriptor.states.is_empty() && !surface.imports("state") && !surface.imports("event-state") {
        warnings.push("the module declares states but imports no `state`: it cannot use them".to_owned());
    }
    if !descriptor.metrics.is_empty() && !surface.imports("metrics") {
        warnings.push("the module declares metrics but does not import `metrics`: they stay at zero".to_owned());
    }
    if descriptor.is_stateful() && descriptor.inputs.iter().all(|input| !input.keyed) {
        warnings
            .push("the module declares states, but none of its inputs is keyed: they can never be reached".to_owned());
    }
    warnings
}

impl From<wit::Descriptor> for Descriptor {
    fn from(said: wit::Descriptor) -> Self {
        let input = |input: wit::InputSpec| InputSpec { name: input.name, keyed: input.keyed };
        let output = |output: wit::OutputSpec| OutputSpec { name: output.name, keeps_key: output.keeps_key };
        let timer = |timer: wit::TimerSpec| TimerSpec { name: timer.name, clock: timer.clock.into() };
        Self {
            inputs: said.inputs.into_iter().map(input).collect(),
            outputs: said.outputs.into_iter().map(output).collect(),
            states: said.states.into_iter().map(state_spec).collect(),
            timers: said.timers.into_iter().map(timer).collect(),
            metrics: said.metrics,
            parameters_schema: said.parameters_schema,
            capabilities: said.capabilities,
            annotations: said.annotations,
        }
    }
}

fn state_spec(state: wit::StateSpec) -> StateSpec {
    StateSpec {
        name: state.name,
        kind: state.kind.into(),
        scope: match state.scope {
            wit::StateScope::Keyed => StateScope::Keyed,
            wit::StateScope::Broadcast => StateScope::Broadcast,
        },
        version: state.version,
        ttl_ms: state.ttl_ms,
        ttl_clock: state.ttl_clock.into(),
    }
}

impl From<wit::StateKind> for StateKind {
    fn from(kind: wit::StateKind) -> Self {
        match kind {
            wit::StateKind::Value => Self::Value,
            wit::StateKind::AppendList => Self::AppendList,
            wit::StateKind::OrderedMap => Self::OrderedMap,
            wit::StateKind::Accumulator => Self::Accumulator,
        }
    }
}

impl From<StateKind> for wit::StateKind {
    fn from(kind: StateKind) -> Self {
        match kind {
            StateKind::Value => Self::Value,
            StateKind::AppendList => Self::AppendList,
            StateKind::OrderedMap => Self::OrderedMap,
            StateKind::Accumulator => Self::Accumulator,
        }
    }
}

impl From<wit::Clock> for ClockKind {
    fn from(clock: wit::Clock) -> Self {
        match clock {
            wit::Clock::EventTime => Self::EventTime,
            wit::Clock::ProcessingTime => Self::ProcessingTime,
        }
    }
}
