//! All three kinds of state against a naive model: whatever is read, written, scanned, rejected or undone, and however
//! the events fall into batches, an operator sees and leaves what a plain map of plain collections would hold.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::{Given, Harness, json};

/// What one event does to the state of its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Step {
    Add(u64),
    Forget,
    Append(String),
    ClearList,
    Insert(i16, String),
    Remove(i16),
    ClearMap,
    Report,
}

/// Some steps, and how the event ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Script {
    steps: Vec<Step>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum End {
    Well,
    Rejected,
    Undone,
}

/// All that one key has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Held {
    number: Option<u64>,
    items: Vec<String>,
    entries: Vec<(i16, String)>,
}

#[operator]
struct Scripted {
    number: Value<u64>,
    items: List<String>,
    entries: Map<i16, String>,
    reports: Output,
}

impl Scripted {
    fn held(&mut self, event: Event<'_>) -> Result<Held, Failure> {
        Ok(Held {
            number: self.number.get(event)?.copied(),
            items: self.items.iter(event)?.collect::<Result<_, _>>()?,
            entries: self.entries.iter(event)?.collect::<Result<_, _>>()?,
        })
    }

    fn step(&mut self, event: Event<'_>, step: Step) -> Result<(), Failure> {
        match step {
            Step::Add(number) => *self.number.or_default(event)? += number,
            Step::Forget => drop(self.number.remove(event)?),
            Step::Append(item) => self.items.append(event, &item)?,
            Step::ClearList => self.items.clear(event)?,
            Step::Insert(key, value) => self.entries.insert(event, &key, value)?,
            Step::Remove(key) => drop(self.entries.remove(event, &key)?),
            Step::ClearMap => self.entries.clear(event)?,
            Step::Report => {
                let held = self.held(event)?;
                self.reports.json(event, &held)?;
            }
        }
        Ok(())
    }
}

impl PerEvent for Scripted {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let script: Script = event.json()?;
        script.steps.into_iter().try_for_each(|step| self.step(event, step))?;
        match script.end {
            End::Well => Ok(()),
            End::Rejected => Err(bad_record("as the script wants it")),
            End::Undone => Err(transient("as the script wants it")),
        }
    }
}

/// The same steps on plain collections; reports go into `reports`.
fn model_step(held: &mut Held, step: &Step, reports: &mut Vec<Held>) {
    match step {
        Step::Add(number) => *held.number.get_or_insert_default() += number,
        Step::Forget => held.number = None,
        Step::Append(item) => held.items.push(item.clone()),
        Step::ClearList => held.items.clear(),
        Step::Insert(key, value) => {
            held.entries.retain(|(known, _)| known != key);
            held.entries.push((*key, value.clone()));
            held.entries.sort();
        }
        Step::Remove(key) => held.entries.retain(|(known, _)| known != key),
        Step::ClearMap => held.entries.clear(),
        Step::Report => reports.push(held.clone()),
    }
}

type Model = BTreeMap<String, Held>;

/// A batch on the model: what it holds then, and its reports. `None` if the whole batch is undone.
fn model_batch(model: &Model, batch: &[(String, Script)]) -> Option<(Model, Vec<Held>)> {
    let mut after = model.clone();
    let mut reports = Vec::new();
    for (key, script) in batch {
        let mut held = after.get(key).cloned().unwrap_or_default();
        let mut own = Vec::new();
        script.steps.iter().for_each(|step| model_step(&mut held, step, &mut own));
        match script.end {
            End::Well => {
                after.insert(key.clone(), held);
                reports.append(&mut own);
            }
            End::Rejected => {}
            End::Undone => return None,
        }
    }
    Some((after, reports))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..1000).prop_map(Step::Add),
        Just(Step::Forget),
        "[a-c]{0,3}".prop_map(Step::Append),
        Just(Step::ClearList),
        (-3_i16..3, "[a-c]{0,3}").prop_map(|(key, value)| Step::Insert(key, value)),
        (-3_i16..3).prop_map(Step::Remove),
        Just(Step::ClearMap),
        Just(Step::Report),
    ]
}

fn script() -> impl Strategy<Value = (String, Script)> {
    let end = prop_oneof![8 => Just(End::Well), 4 => Just(End::Rejected), 1 => Just(End::Undone)];
    ("[xyz]", proptest::collection::vec(step(), 0..6), end).prop_map(|(key, steps, end)| (key, Script { steps, end }))
}

proptest! {
    #[test]
    fn state_is_what_plain_collections_would_hold(
        batches in proptest::collection::vec(proptest::collection::vec(script(), 1..8), 1..8)
    ) {
        let mut harness = Harness::<Scripted>::new();
        let mut model = Model::new();
        for batch in batches {
            let given: Vec<Given> = batch.iter().map(|(key, script)| json(script).key(key)).collect();
            let done = harness.process(given);
            match model_batch(&model, &batch) {
                Some((after, reports)) => {
                    model = after;
                    prop_assert_eq!(done.expect("the model went on").json::<Held>("reports"), reports);
                }
                None => prop_assert!(done.is_err(), "the model was undone"),
            }
            for (key, held) in &model {
                prop_assert_eq!(harness.value::<u64>("number", key), held.number);
                prop_assert_eq!(&harness.list::<String>("items", key), &held.items);
                prop_assert_eq!(&harness.map::<i16, String>("entries", key), &held.entries);
            }
        }
    }
}

#[test]
fn what_changed_outside_is_seen_in_the_next_batch() {
    let mut harness = Harness::<Scripted>::new();
    let add = Script { steps: vec![Step::Add(1)], end: End::Well };
    harness.process([json(&add).key("x")]).expect("an addition");
    harness.put_value("number", "x", &41_u64);
    harness.process([json(&add).key("x")]).expect("an addition");
    assert_eq!(harness.value("number", "x"), Some(42_u64));
}

#[test]
fn map_entries_are_kept_from_batch_to_batch() {
    let mut harness = Harness::<Scripted>::new();
    let insert = |value: &str| Script { steps: vec![Step::Insert(1, value.to_owned())], end: End::Well };
    harness.process([json(&insert("a")).key("x")]).expect("an insertion");
    let before = harness.state_calls();
    harness.process([json(&insert("b")).key("x"), json(&insert("c")).key("x")]).expect("insertions");
    assert_eq!(harness.state_calls() - before, 1, "one write, no read");
}

#[test]
fn an_event_without_a_key_is_rejected_alone_when_it_wants_state() {
    let item = || "a".to_owned();
    let steps = [
        Step::Add(1),
        Step::Append(item()),
        Step::ClearList,
        Step::Insert(1, item()),
        Step::Remove(1),
        Step::ClearMap,
        Step::Report,
    ];
    for step in steps {
        let mut harness = Harness::<Scripted>::new();
        let script = json(&Script { steps: vec![step.clone()], end: End::Well });
        let keyless_between = [script.clone().key("x"), script.clone(), script.clone().key("y"), script.key("x")];
        let done = harness.process(keyless_between).expect("the others go on");
        assert_eq!(done.rejections(), [(1, "the event has no key".to_owned())], "{step:?}");
        let numbers = ["x", "y"].map(|key| harness.value::<u64>("number", key));
        assert!(!matches!(step, Step::Add(_)) || numbers == [Some(2), Some(1)], "{numbers:?}");
    }
}

#[test]
fn an_event_without_a_key_does_not_reach_the_state_of_the_empty_key() {
    let mut harness = Harness::<Scripted>::new();
    let insert = |value: &str| json(&Script { steps: vec![Step::Insert(1, value.to_owned())], end: End::Well });
    let report = json(&Script { steps: vec![Step::Insert(2, "of none".to_owned()), Step::Report], end: End::Well });
    let done = harness.process([insert("of the empty key").key(""), report]).expect("one is rejected");
    assert_eq!((done.rejections().len(), done.events("reports").len()), (1, 0));
    assert_eq!(harness.map::<i16, String>("entries", ""), [(1, "of the empty key".to_owned())]);
}

#[test]
fn bytes_of_another_type_fail_the_job_and_name_the_state() {
    let mut harness = Harness::<Scripted>::new();
    harness.put_value("number", "x", &"text");
    let add = Script { steps: vec![Step::Add(1)], end: End::Well };
    let failure = harness.process([json(&add).key("x")]).expect_err("no number is there");
    assert_eq!(
        failure,
        fatal(
            "state `number` holds bytes that are not a `u64`: if the type has changed, raise the version of the state"
        )
    );
}
