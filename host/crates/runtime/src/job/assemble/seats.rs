//! What is known of each node before anything is opened.

use std::sync::Arc;

use gristmill_dataflow::JobDocument;
use gristmill_dataflow::document::KeyBy;
use gristmill_types::{Descriptor, NodeId};

use crate::counters::NodeCounters;
use crate::job::shared::NodeSeat;
use crate::job::spec::JobSpec;

/// A seat for each node, in the order of the plan.
pub(crate) fn seats(spec: &JobSpec) -> Vec<NodeSeat> {
    let JobSpec { document, plan, operators, .. } = spec;
    let mut seats = Vec::new();
    for (task, task_plan) in plan.tasks.iter().enumerate() {
        for (place, node) in task_plan.nodes.iter().enumerate() {
            let descriptor = operators.get(&node.id).map(|parts| parts.prepared.factory.descriptor());
            let (inputs, ports, metrics) = match descriptor {
                None => (Vec::new(), node.ports.iter().map(|_| "out".to_owned()).collect::<Vec<_>>(), &[][..]),
                Some(descriptor) => (
                    keyed_inputs(document, &node.id, descriptor),
                    descriptor.outputs.iter().map(|output| output.name.clone()).collect(),
                    descriptor.metrics.as_slice(),
                ),
            };
            let counters = task_plan.parallelism.subtasks().map(|_| Arc::new(NodeCounters::new(ports.len(), metrics)));
            seats.push(NodeSeat {
                id: node.id.clone(),
                kind: node.kind,
                task,
                place,
                parallelism: task_plan.parallelism,
                counters: counters.collect(),
                tap: Arc::default(),
                inputs,
                ports,
            });
        }
    }
    seats
}

fn keyed_inputs(document: &JobDocument, id: &NodeId, descriptor: &Descriptor) -> Vec<(String, Option<KeyBy>)> {
    let declared = &document.operators[id].inputs;
    let key_by = |name: &String| declared.get(name).and_then(|input| input.key_by.clone());
    descriptor.inputs.iter().map(|input| (input.name.clone(), key_by(&input.name))).collect()
}
