use std::collections::{BTreeSet, HashSet};

use gristmill_types::descriptor::{InputSpec, OutputSpec};
use gristmill_types::{Descriptor, InputIndex, NodeId};
use proptest::prelude::*;

use super::*;
use crate::describe::describe;

/// A module with one input `in`, a port `kept` that keeps keys and a port `made` that does not.
fn module() -> Descriptor {
    let output = |name: &str, keeps_key| OutputSpec { name: name.to_owned(), keeps_key };
    Descriptor {
        inputs: vec![InputSpec { name: "in".to_owned(), keyed: false }],
        outputs: vec![output("kept", true), output("made", false)],
        ..Descriptor::default()
    }
}

fn planned(text: &str) -> Result<JobPlan, Vec<Problem>> {
    let document = JobDocument::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let descriptors = document.operators.keys().map(|id| (id.clone(), module())).collect();
    plan(&document, &descriptors)
}

/// The plan in words of a job of these operators, fed by the generator `in` and drained by the black hole `out`.
fn described(parallelism: u32, operators: &[&str], out: &str) -> String {
    let operators: String = operators
        .iter()
        .map(|operator| operator.replacen(": {", ": {module: m@1, inputs: {in: {", 1))
        .map(|o| format!("  {o}\n"))
        .collect();
    let text = format!(
        "version: 1\njob: j\nparallelism: {parallelism}\nsources:\n  in: {{from: {{generator: {{keys: 9}}}}}}\n\
         operators:\n{operators}sinks:\n  out: {{inputs: [{out}], to: blackhole}}\n"
    );
    let plan = planned(&text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
    describe(&plan)
}

#[test]
fn nodes_that_need_no_exchange_share_a_task() {
    assert_eq!(
        described(2, &["a: {from: in}}}", "b: {from: a.made, partition: forward}}}"], "b.kept"),
        "task 0 ×2: in → a → b → out\n"
    );
}

#[test]
fn keys_are_exchanged_unless_there_is_one_subtask() {
    let operators = ["a: {from: in, key_by: $.id}}}"];
    assert_eq!(described(2, &operators, "a.made"), "task 0 ×2: in\ntask 1 ×2: a → out\n0 → 1 by key $.id\n");
    assert_eq!(described(1, &operators, "a.made"), "task 0 ×1: in → a → out\n");
}

#[test]
fn a_chained_keyed_input_still_gets_its_keys() {
    let text = "version: 1\njob: j\nsources: {in: {from: generator}}\noperators:\n  a: {module: m@1, inputs: {in: \
                {from: in, key_by: $.id}}}\nsinks: {out: {inputs: [a.kept], to: stdout}}\n";
    let plan = planned(text).expect("a good job");
    let key_by = Some(KeyBy::Paths(vec!["$.id".to_owned()]));
    assert_eq!(plan.tasks[0].nodes[0].ports, [[Route::Chained { node: 1, input: InputIndex(0), key_by }]]);
}

#[test]
fn events_that_kept_their_key_stay_where_they_are() {
    let keyed = "a: {from: in, key_by: $.id}}}";
    // Straight behind the keyed operator, and behind another that passes keys on.
    assert_eq!(
        described(2, &[keyed, "b: {from: a.kept, key_by: key}}}"], "b.made"),
        "task 0 ×2: in\ntask 1 ×2: a → b → out\n0 → 1 by key $.id\n"
    );
    assert_eq!(
        described(2, &[keyed, "b: {from: a.kept}}}", "c: {from: b.kept, key_by: key}}}"], "c.made"),
        "task 0 ×2: in\ntask 1 ×2: a → b → c → out\n0 → 1 by key $.id\n"
    );
}

#[test]
fn events_whose_key_may_have_changed_are_exchanged() {
    let keyed = "a: {from: in, key_by: $.id}}}";
    let two_tasks = "task 0 ×2: in\ntask 1 ×2: a\ntask 2 ×2: b → out\n0 → 1 by key $.id\n1 → 2 by ";
    for (operators, how) in [
        // A port that keeps no keys; another key than the kept one.
        ([keyed, "b: {from: a.made, key_by: key}}}"], "its own key"),
        ([keyed, "b: {from: a.kept, key_by: $.id}}}"], "key $.id"),
    ] {
        assert_eq!(described(2, &operators, "b.made"), format!("{two_tasks}{how}\n"));
    }
    // The keys of a source stand anywhere, and so do they behind an operator that passes them on.
    assert_eq!(
        described(2, &["a: {from: in}}}", "b: {from: a.kept, key_by: key}}}"], "b.made"),
        "task 0 ×2: in → a\ntask 1 ×2: b → out\n0 → 1 by its own key\n"
    );
    // Other parallelism owns other key groups.
    assert_eq!(
        described(2, &[keyed, "b: {from: a.kept, key_by: key}}, parallelism: 3}"], "b.made"),
        "task 0 ×2: in\ntask 1 ×2: a\ntask 2 ×3: b\ntask 3 ×2: out\n0 → 1 by key $.id\n1 → 2 by its own key\n2 → 3 in turn\n"
    );
    // One of two feeds is out of place.
    assert_eq!(
        described(2, &[keyed, "b: {from: [a.kept, in]}}}", "c: {from: b.kept, key_by: key}}}"], "c.made"),
        "task 0 ×2: in\ntask 1 ×2: a\ntask 2 ×2: b\ntask 3 ×2: c → out\n0 → 1 by key $.id\n1 → 2 straight\n0 → 2 straight\n\
         2 → 3 by its own key\n"
    );
}

#[test]
fn keys_are_in_place_only_where_nothing_has_spread_the_events_since() {
    for (partition, in_place) in [("forward", true), ("rebalance", false), ("broadcast", false)] {
        let text = format!(
            "{{version: 1, job: j, parallelism: 2, sources: {{in: {{from: generator}}}}, operators: {{\
             a: {{module: m@1, inputs: {{in: {{from: in, key_by: $.id}}}}}}, \
             b: {{module: m@1, inputs: {{in: {{from: a.kept, partition: {partition}}}}}}}}}, \
             sinks: {{out: {{inputs: [b.kept], to: blackhole}}}}}}"
        );
        let plan = planned(&text).expect("a good job");
        let nodes: Vec<_> = plan.tasks.iter().flat_map(|task| &task.nodes).collect();
        let of = |id: &str| nodes.iter().find(|node| node.id.as_str() == id).expect("it is planned").keys_in_place;
        assert_eq!((of("in"), of("a"), of("b")), (false, true, in_place), "{partition}");
    }
}

#[test]
fn an_author_decides_how_events_spread() {
    for (partition, how) in [("rebalance", "in turn"), ("broadcast", "to all")] {
        let operator = format!("a: {{from: in, partition: {partition}}}}}}}");
        for parallelism in [1, 2] {
            let expected = format!("task 0 ×{parallelism}: in\ntask 1 ×{parallelism}: a → out\n0 → 1 {how}\n");
            assert_eq!(described(parallelism, &[&operator], "a.made"), expected);
        }
    }
}

#[test]
fn unequal_parallelism_is_bridged_in_turn() {
    assert_eq!(
        described(2, &["a: {from: in}}, parallelism: 4}"], "a.made"),
        "task 0 ×2: in\ntask 1 ×4: a\ntask 2 ×2: out\n0 → 1 in turn\n1 → 2 in turn\n"
    );
}

#[test]
fn a_node_fed_by_several_has_a_task_of_its_own() {
    assert_eq!(
        described(1, &["a: {from: in}}}", "b: {from: in}}}"], "a.made, b.kept"),
        "task 0 ×1: in → (a, b)\ntask 1 ×1: out\n0 → 1 straight\n0 → 1 straight\n"
    );
}

#[test]
fn a_file_is_written_by_one_subtask() {
    let text = "version: 1\njob: j\nparallelism: 2\nsources: {in: {from: generator}, posts: {from: http}}\nsinks:\n  \
                file: {inputs: [in, posts], to: {file: {path: out}}}\n  screen: {inputs: [posts], to: stdout}\n";
    assert_eq!(
        describe(&planned(text).expect("a good job")),
        "task 0 ×2: in\ntask 1 ×1: posts → screen\ntask 2 ×1: file\n0 → 2 in turn\n1 → 2 straight\n"
    );
}

#[test]
fn errors_stop_a_plan_and_warnings_do_not() {
    let text = "version: 1\njob: j\nsources: {in: {from: generator}}\noperators:\n  a: {module: m@1, inputs: {in: {from: \
                in}}}\nsinks: {out: {inputs: [a.kept], to: stdout}}\n";
    planned(text).expect("the unused port is only a warning");
    let problems = planned(&text.replace("a.kept", "a.kpet")).expect_err("no such port");
    assert!(problems.iter().all(Problem::is_error), "{problems:?}");
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_job_of_too_many_threads_is_refused() {
    let sources: String = (0..20).map(|number| format!("  s{number}: {{from: generator}}\n")).collect();
    let inputs: String = (0..20).map(|number| format!("s{number}, ")).collect();
    let text = format!(
        "version: 1\njob: j\nparallelism: 256\nmax_parallelism: 256\nsources:\n{sources}sinks: {{out: {{inputs: [{inputs}], to: stdout}}}}\n"
    );
    let problems = planned(&text).expect_err("5 121 threads");
    assert_eq!(problems[0].message, "the job would run 5121 subtasks, each a thread; at most 4096 are run");
}

/// What feeds a node, as picks from the nodes before it; how its events spread; its own parallelism.
type AnyNode = (Vec<prop::sample::Index>, usize, Option<u32>);

const SPREADS: [&str; 5] = ["", ", key_by: key", ", key_by: $.id", ", partition: rebalance", ", partition: broadcast"];

fn any_node() -> impl Strategy<Value = AnyNode> {
    (prop::collection::vec(any::<prop::sample::Index>(), 1..4), 0..SPREADS.len(), prop::option::of(1..4_u32))
}

/// Documents of any acyclic shape.
fn any_document() -> impl Strategy<Value = String> {
    let nodes = |count| prop::collection::vec(any_node(), count);
    (1..4_usize, 1..4_u32, nodes(0..8), nodes(1..4))
        .prop_map(|(sources, parallelism, operators, sinks)| write(sources, parallelism, &operators, &sinks))
}

fn write(sources: usize, parallelism: u32, operators: &[AnyNode], sinks: &[AnyNode]) -> String {
    let own = |parallelism: &Option<u32>| parallelism.map_or(String::new(), |own| format!(", parallelism: {own}"));
    let pick = |feeds: &[String], from: &[prop::sample::Index]| {
        let chosen: BTreeSet<&str> = from.iter().map(|index| index.get(feeds).as_str()).collect();
        chosen.into_iter().collect::<Vec<_>>().join(", ")
    };
    let mut feeds: Vec<String> = (0..sources).map(|source| format!("s{source}")).collect();
    let read_all = feeds.join(", ");
    let mut text = format!("version: 1\njob: any\nparallelism: {parallelism}\nsources:\n");
    text.extend(feeds.iter().map(|source| format!("  {source}: {{from: {{generator: {{keys: 5}}}}}}\n")));
    text += "operators:\n  first: {module: m@1, inputs: {in: {from: s0}}}\n";
    for (number, (from, spread, parallelism)) in operators.iter().enumerate() {
        let (from, spread, own) = (pick(&feeds, from), SPREADS[*spread], own(parallelism));
        text += &format!("  o{number}: {{module: m@1, inputs: {{in: {{from: [{from}]{spread}}}}}{own}}}\n");
        feeds.extend([format!("o{number}.kept"), format!("o{number}.made")]);
    }
    text += "sinks:\n";
    for (number, (from, _, parallelism)) in sinks.iter().enumerate() {
        let (from, own) = (pick(&feeds, from), own(parallelism));
        text += &format!("  k{number}: {{inputs: [{from}], to: blackhole{own}}}\n");
    }
    text + &format!("  all: {{inputs: [{read_all}], to: stdout}}\n")
}

/// The edges of a plan, each as sender, port, receiver, input; once for each time it is there.
fn edges_of(plan: &JobPlan) -> Vec<(NodeId, usize, NodeId, InputIndex)> {
    let mut edges = Vec::new();
    for (task_place, task) in plan.tasks.iter().enumerate() {
        for (place, node) in task.nodes.iter().enumerate() {
            for (port, route) in
                node.ports.iter().enumerate().flat_map(|(port, routes)| routes.iter().map(move |route| (port, route)))
            {
                let (to, input) = match route {
                    Route::Chained { node: to, input, .. } => {
                        assert!(*to > place, "a chained node stands after the one that feeds it");
                        (&task.nodes[*to], *input)
                    }
                    Route::Exchange(exchange) => {
                        let exchange = &plan.exchanges[*exchange];
                        assert_eq!(exchange.from, (task_place, place, port));
                        assert!(exchange.to > task_place, "a task stands after those that feed it");
                        (&plan.tasks[exchange.to].nodes[0], exchange.input)
                    }
                };
                edges.push((node.id.clone(), port, to.id.clone(), input));
            }
        }
    }
    edges
}

proptest! {
    #[test]
    fn a_plan_is_the_document_cut_into_tasks(text in any_document()) {
        let document = JobDocument::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let plan = planned(&text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));

        let mut planned: Vec<_> = plan.tasks.iter().flat_map(|task| &task.nodes).map(|node| node.id.clone()).collect();
        let mut written: Vec<_> = document.sources.keys().chain(document.operators.keys()).chain(document.sinks.keys()).cloned().collect();
        planned.sort();
        written.sort();
        prop_assert_eq!(planned, written, "each node stands in one task");

        let mut problems = Vec::new();
        let graph = Graph::of(&document, &mut problems);
        let mut written: Vec<_> = graph.edges.iter().map(|edge| {
            let port = edge.port.map_or(0, |port| module().output(port).expect("it has it").at());
            (graph.nodes[edge.from].id.clone(), port, graph.nodes[edge.to].id.clone(), InputIndex(0))
        }).collect();
        let mut planned = edges_of(&plan);
        written.sort();
        planned.sort();
        prop_assert_eq!(planned, written, "each edge is there once, as it was written");

        let fed_by_exchange: HashSet<usize> = plan.exchanges.iter().map(|exchange| exchange.to).collect();
        for (place, task) in plan.tasks.iter().enumerate() {
            prop_assert_eq!(task.nodes[0].kind == NodeKind::Source, !fed_by_exchange.contains(&place));
            for node in &task.nodes {
                let parallelism = graph.nodes.iter().find(|other| *other.id == node.id).expect("it is there").parallelism;
                prop_assert_eq!(parallelism, task.parallelism, "a chain has one parallelism");
            }
        }
        for exchange in &plan.exchanges {
            if exchange.partitioning == Partitioning::Forward {
                prop_assert_eq!(plan.tasks[exchange.from.0].parallelism, plan.tasks[exchange.to].parallelism);
            }
        }
        prop_assert_eq!(JobDocument::parse(&crate::canonical_json(&document).to_string()), Ok(document));
    }
}
