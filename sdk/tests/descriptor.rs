//! What a descriptor says is read off the struct.

use gristmill_sdk::prelude::*;
use gristmill_sdk::testing::{Harness, event, refusal};
use serde_json::{Value as Json, json};

#[parameters]
struct Settings {
    /// Smallest number let through.
    #[serde(default = "ten")]
    least: u32,
    /// What it is called.
    name: String,
}

fn ten() -> u32 {
    10
}

#[operator(per_batch)]
struct Everything {
    settings: Parameters<Settings>,
    orders: Input,
    #[input(name = "price-list", keyed = false)]
    prices: Input,
    #[state(name = "sum", version = 3, ttl = "2h", ttl_clock = "processing-time")]
    total: Value<i64>,
    history: List<String>,
    by_item: Map<(String, u32), u64>,
    kept: Output,
    #[output(name = "made-up")]
    made: RekeyedOutput,
    #[metric(name = "rows")]
    rows: Counter,
    sizes: Histogram,
    #[local]
    calls: usize,
}

impl PerBatch for Everything {
    fn on_batch(&mut self, batch: &Batch, rejected: &mut Rejected) -> Result<(), Failure> {
        self.calls += 1;
        self.rows.add(batch.len() as i64);
        for event in batch.iter() {
            self.sizes.observe(event.bytes().len() as f64);
            if event.bytes().len() < self.settings.least as usize {
                rejected.add(event, format_args!("`{}` wants more", self.settings.name));
                continue;
            }
            if self.prices.brought(event) {
                self.made.emit(event, 0, Some(b"price"), event.value());
            } else if self.orders.brought(event) {
                *self.total.or_default(event)? += 1;
                self.history.append(event, &event.text()?.to_owned())?;
                *self.by_item.or_default(event, &("item".to_owned(), 1))? += 1;
                self.kept.pass(event);
            }
        }
        Ok(())
    }
}

fn opened() -> Harness<Everything> {
    Harness::open(&json!({"least": 2, "name": "all"})).expect("good parameters")
}

#[test]
fn ports_states_and_metrics_are_named_after_their_fields() {
    let harness = opened();
    let said = harness.descriptor();
    let inputs: Vec<_> = said.inputs.iter().map(|input| (input.name.as_str(), input.keyed)).collect();
    assert_eq!(inputs, [("orders", true), ("price-list", false)]);
    let outputs: Vec<_> = said.outputs.iter().map(|output| (output.name.as_str(), output.keeps_key)).collect();
    assert_eq!(outputs, [("kept", true), ("made-up", false)]);
    let states: Vec<_> = said.states.iter().map(|state| (state.name.as_str(), state.version, state.ttl_ms)).collect();
    assert_eq!(states, [("sum", 3, Some(7_200_000)), ("history", 1, None), ("by_item", 1, None)]);
    assert_eq!(said.metrics, ["rows", "sizes"]);
}

#[test]
fn the_schema_of_parameters_is_2020_12_and_refuses_slips() {
    let schema: Json = serde_json::from_str(&opened().descriptor().parameters_schema).expect("a schema is JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], json!(["name"]));
    assert_eq!(schema["properties"]["least"]["default"], 10);
    assert_eq!(schema["properties"]["least"]["description"], "Smallest number let through.");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn parameters_that_do_not_fit_say_where() {
    let reason = refusal::<Everything>(&json!({"least": "two", "name": "all"}));
    assert!(reason.contains("invalid type: string \"two\", expected u32"), "{reason}");
}

#[test]
fn inputs_are_told_apart_and_all_parts_work_together() {
    let mut harness = opened();
    let done = harness.process_input("orders", [event("apple").key("k"), event("x").key("k")]).expect("a good batch");
    assert_eq!(done.texts("kept"), ["apple"]);
    assert_eq!(done.rejections(), [(1, "`all` wants more".to_owned())]);
    let done = harness.process_input("price-list", [event("pear 3")]).expect("a good batch");
    assert_eq!(done.events("made-up")[0].key.as_deref(), Some(b"price".as_slice()));
    assert_eq!(harness.value("sum", "k"), Some(1_i64));
    assert_eq!(harness.list::<String>("history", "k"), ["apple"]);
    assert_eq!(harness.map_value("by_item", "k", &("item".to_owned(), 1_u32)), Some(1_u64));
    assert_eq!(harness.counter("rows"), 3);
}
