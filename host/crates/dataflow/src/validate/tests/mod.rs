//! Good jobs with one thing made wrong, and all that is then told.

mod connectors;
mod flow;
mod keys;
mod numbers;

use gristmill_types::Descriptor;
use gristmill_types::descriptor::{ClockKind, InputSpec, OutputSpec, StateKind, StateScope, StateSpec};

use super::*;
use crate::problem::place;

const GOOD: &str = "\
version: 1
job: orders
sources:
  orders: {from: {file: {path: orders.jsonl}}, decode: json}
operators:
  enrich: {module: enrich@1, inputs: {in: {from: orders}}}
  count:
    module: count@1
    inputs:
      in: {from: enrich.good, key_by: $.id}
sinks:
  good: {inputs: [count], to: {file: {path: good.jsonl}}}
  bad: {inputs: [enrich.bad], to: stdout}
";

fn module(inputs: &[(&str, bool)], outputs: &[&str], stateful: bool) -> Descriptor {
    let state = StateSpec {
        name: "count".to_owned(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::EventTime,
    };
    Descriptor {
        inputs: inputs.iter().map(|(name, keyed)| InputSpec { name: (*name).to_owned(), keyed: *keyed }).collect(),
        outputs: outputs.iter().map(|name| OutputSpec { name: (*name).to_owned(), keeps_key: true }).collect(),
        states: if stateful { vec![state] } else { Vec::new() },
        ..Descriptor::default()
    }
}

fn descriptors() -> Descriptors {
    let id = |id: &str| id.parse().expect("a good id");
    Descriptors::from([
        (id("enrich"), module(&[("in", false)], &["good", "bad"], false)),
        (id("count"), module(&[("in", false)], &["out"], true)),
        (id("join"), module(&[("left", true), ("right", false)], &["out"], true)),
    ])
}

fn told(text: &str) -> Vec<String> {
    let document = JobDocument::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut problems = validate(&document, &descriptors());
    place(&mut problems, text);
    problems.iter().map(ToString::to_string).collect()
}

/// Each line: what is replaced, by what, and all that is then told.
fn table(rows: &[(&str, &str, &[&str])]) {
    let wrong = rows.iter().filter_map(|(part, by, expected)| {
        assert!(GOOD.contains(part), "{part}");
        let told = told(&GOOD.replacen(part, by, 1));
        (told != *expected).then(|| format!("{part} → {by}\n  told: {told:#?}\n  expected: {expected:#?}\n"))
    });
    assert_eq!(wrong.collect::<String>(), "");
}

#[test]
fn a_good_job_has_no_problems() {
    assert_eq!(told(GOOD), [""; 0]);
}

#[test]
fn a_job_needs_a_beginning_and_an_end() {
    assert_eq!(
        told("version: 1\njob: empty\nsources: {}\nsinks: {}\n"),
        [
            "line 3, column 1: sources: the job has no sources; add one, such as `events: {from: {file: {path: \
             events.jsonl}}}`",
            "line 4, column 1: sinks: the job has no sinks; add one, such as `out: {inputs: […], to: stdout}`",
        ]
    );
}

#[test]
fn offline_no_module_is_needed() {
    let document = JobDocument::parse(GOOD).expect("a good document");
    assert_eq!(validate_offline(&document), []);
    let unknown = JobDocument::parse(&GOOD.replace("enrich.bad", "enrcih.bad")).expect("a good document");
    assert_eq!(validate_offline(&unknown)[0].hint.as_deref(), Some("did you mean `enrich`?"));
}

#[test]
fn a_job_without_bound_is_refused_before_it_costs_anything() {
    let sources: String = (0..=MAX_NODES).map(|number| format!("  s{number}: {{from: http}}\n")).collect();
    let problems = told(&format!("version: 1\njob: huge\nsources:\n{sources}sinks: {{}}\n"));
    assert_eq!(
        problems,
        ["line 1, column 1: the job has 1001 sources, operators and sinks, but at most 1000 are run; cut it into \
          several jobs"]
    );
}
