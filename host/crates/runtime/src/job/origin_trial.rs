//! What `migrate` would make of a savepoint, found out before a job begins from it. Nothing of it is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use gristmill_checkpoint::fit::NodeFit;
use gristmill_checkpoint::{NodeSnapshot, Savepoint, Seating, StateFile};
use gristmill_dataflow::Problem;
use gristmill_ports::state::StateReader;
use gristmill_ports::telemetry::Silent;
use gristmill_ports::{Clock, FileStore, OperatorContext, Signal};
use gristmill_types::{NodeId, Parallelism, SubtaskIndex};

use crate::job::origin::forget_dropped;
use crate::job::spec::{JobSpec, OperatorParts};
use crate::job::swap_states::{MigrationTried, try_on_files};

/// Has the module of each operator rewrite all that it would have to if the job began from this savepoint. `fits` are what
/// [`fit_savepoint`](crate::fit_savepoint) says of both, `files` are those of the savepoint. Blocks.
///
/// # Errors
/// All that cannot be rewritten, each with the first key that is at fault.
pub fn try_savepoint(
    spec: &JobSpec,
    (savepoint, fits): (&Savepoint, &[NodeFit]),
    (reader, files): (&dyn StateReader, &dyn FileStore),
    clock: &Arc<dyn Clock>,
) -> Result<BTreeMap<NodeId, MigrationTried>, Vec<Problem>> {
    let (mut tried, mut problems) = (BTreeMap::new(), Vec::new());
    for fit in fits {
        let NodeFit::Continued { node, states } = fit else { continue };
        let Some(parts) = spec.operators.get(node) else { continue };
        let mut page = savepoint.node(node).expect("what goes on is there").clone();
        forget_dropped(&mut page, states);
        match try_node(spec, (node, parts), &page, (reader, files), clock) {
            Ok(None) => {}
            Ok(Some(one)) => drop(tried.insert(node.clone(), one)),
            Err(why) => problems.push(Problem::error(format!("operators.{node}"), why)),
        }
    }
    if problems.is_empty() { Ok(tried) } else { Err(problems) }
}

fn try_node(
    spec: &JobSpec,
    (node, parts): (&NodeId, &OperatorParts),
    page: &NodeSnapshot,
    read: (&dyn StateReader, &dyn FileStore),
    clock: &Arc<dyn Clock>,
) -> Result<Option<MigrationTried>, String> {
    let factory = &parts.prepared.factory;
    let moves = Seating::among(&page.states, &factory.descriptor().states).moves;
    if moves.is_empty() {
        return Ok(None);
    }
    let made = factory.migrator(context(spec, node, parts, clock)).map_err(|failure| failure.to_string())?;
    let mut migrator = made.ok_or_else(|| format!("the module of `{node}` exports no `migration`"))?;
    let list: Vec<StateFile> = page.subtasks.iter().flat_map(|part| part.files.iter().copied()).collect();
    let tried = try_on_files(&moves, &mut *migrator, &list, read)?;
    // There is no way back from a beginning.
    Ok(Some(MigrationTried { no_way_back: None, ..tried }))
}

/// That of the only instance of an operator which sees no event.
fn context(spec: &JobSpec, node: &NodeId, parts: &OperatorParts, clock: &Arc<dyn Clock>) -> OperatorContext {
    let max_parallelism = spec.plan.max_parallelism;
    OperatorContext {
        job: spec.document.job.clone(),
        operator: node.clone(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::ONE,
        max_parallelism,
        key_groups: max_parallelism.owned_by(SubtaskIndex(0), Parallelism::ONE),
        keys_in_place: true,
        parameters: parts.prepared.parameters.clone(),
        written_parameters: None,
        log: Arc::new(Silent),
        clock: Arc::clone(clock),
        seed: spec.run.0,
        interrupt: Signal::default(),
    }
}
