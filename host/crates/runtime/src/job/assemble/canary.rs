//! An attempt goes on with the canary that its checkpoint names.

use gristmill_dataflow::JobPlan;
use gristmill_ports::{Operator, Signal};
use gristmill_types::{CallFailure, SubtaskIndex};

use crate::job::assemble::{Frame, Subtask, operator_context};
use crate::job::modules::CanaryThere;
use crate::job::shared::NodeSeat;
use crate::task::chain::Work;
use crate::task::operator_node::Canary;

/// Opens the second instance of each subtask and puts it beside the first. If that cannot be, the canary is withdrawn:
/// the operator's own module serves all.
pub(super) fn seat_canary(frame: &Frame<'_>, interrupt: &Signal, subtasks: &mut [(SubtaskIndex, Subtask)]) {
    let Some(canary) = frame.job.modules().canary() else { return };
    let seat =
        frame.job.nodes.iter().find(|seat| seat.id == canary.operator).expect("an operator of the job has a seat");
    let opened: Result<Vec<_>, _> =
        seat.parallelism.subtasks().map(|subtask| open(frame, seat, &canary, subtask, interrupt)).collect();
    match opened {
        Ok(instances) => {
            let mut instances = instances.into_iter();
            let nodes = subtasks.iter_mut().flat_map(|(_, subtask)| &mut subtask.chain().nodes);
            for node in nodes {
                match &mut node.work {
                    Work::Operator(operator) if operator.id == canary.operator => {
                        let instance = instances.next().expect("one was opened for each subtask");
                        let module = canary.parts.module;
                        operator.go_on_with(Canary::begin(canary.swap, module, instance, canary.terms.clone()));
                    }
                    Work::Operator(_) | Work::Source { .. } | Work::Sink(_) => {}
                }
            }
        }
        Err(failure) => {
            let cause = format!("withdrawn: module {} cannot be opened again: {failure}", canary.parts.module);
            tracing::warn!(job = %frame.job.id, operator = %canary.operator, cause, "canary");
            frame.job.withdraw_canary(&canary, &cause);
        }
    }
}

fn open(
    frame: &Frame<'_>,
    seat: &NodeSeat,
    canary: &CanaryThere,
    subtask: SubtaskIndex,
    interrupt: &Signal,
) -> Result<Box<dyn Operator>, CallFailure> {
    let parts = &canary.parts;
    let in_place = keys_in_place(&frame.spec.plan, seat);
    parts.prepared.factory.open(operator_context(frame.job, seat, subtask, in_place, parts, interrupt))
}

fn keys_in_place(plan: &JobPlan, seat: &NodeSeat) -> bool {
    plan.tasks.iter().flat_map(|task| &task.nodes).any(|node| node.id == seat.id && node.keys_in_place)
}
