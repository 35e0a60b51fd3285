//! What a checkpoint says to a job that goes on from it with other numbers of subtasks. State and splits find their way
//! by themselves, by key groups and by names; here is what belongs to subtasks.

use gristmill_checkpoint::NodeSnapshot;
use gristmill_dataflow::JobPlan;
use gristmill_types::NodeId;

use crate::checkpoint::restored::Restored;

impl Restored {
    /// The same for a job of this plan. If any node has another number of subtasks than it had:
    ///
    /// * Event time has come, in each subtask of a node, as far as in the last of them. Splits change hands, and with them
    ///   events that no other subtask has waited for. Where events come by key, all subtasks stand at one time anyway.
    /// * What subtasks counted that are no more is counted on by others, so that sums over a node stay.
    pub(crate) fn in_plan(mut self, plan: &JobPlan) -> Self {
        let now = |node: &NodeId| {
            let task = plan.tasks.iter().find(|task| task.nodes.iter().any(|one| one.id == *node))?;
            Some(task.parallelism.get() as usize)
        };
        let is_other = |page: &NodeSnapshot| now(&page.node).is_some_and(|subtasks| subtasks != page.subtasks.len());
        if !self.0.values().any(is_other) {
            return self;
        }
        for page in self.0.values_mut() {
            level(page);
            if let Some(subtasks) = now(&page.node) {
                hand_counts_on(page, subtasks);
            }
        }
        self
    }
}

fn level(page: &mut NodeSnapshot) {
    let Some(least) = page.subtasks.iter().map(|part| part.watermark).min() else { return };
    page.subtasks.iter_mut().for_each(|part| part.watermark = least);
}

/// Of those that are no more to the one before, going round.
fn hand_counts_on(page: &mut NodeSnapshot, subtasks: usize) {
    if page.subtasks.len() <= subtasks || subtasks == 0 {
        return;
    }
    let (stay, gone) = page.subtasks.split_at_mut(subtasks);
    for (place, part) in gone.iter_mut().enumerate() {
        let counters = &mut stay[place % subtasks].counters;
        for (name, count) in std::mem::take(&mut part.counters) {
            match counters.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => counters.push((name, count)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;

    use gristmill_checkpoint::snapshot::SubtaskSnapshot;
    use gristmill_dataflow::document::BatchBounds;
    use gristmill_dataflow::plan::{NodeKind, NodePlan, TaskPlan};
    use gristmill_types::{MaxParallelism, Parallelism, SubtaskIndex, Watermark};

    use super::*;

    fn node(name: &str) -> NodeId {
        name.parse().expect("a name")
    }

    /// Each part: how far event time had come, and what it counted.
    fn page(name: &str, parts: &[(i64, u64)]) -> NodeSnapshot {
        let parallelism = Parallelism(NonZeroU32::new(parts.len() as u32).expect("some"));
        let part = |(subtask, (watermark, count)): (SubtaskIndex, &(i64, u64))| SubtaskSnapshot {
            subtask,
            splits: Vec::new(),
            ended: false,
            groups: MaxParallelism::DEFAULT.owned_by(subtask, parallelism),
            watermark: Watermark(*watermark),
            files: Vec::new(),
            sink: Vec::new(),
            counters: vec![("events_in".to_owned(), *count)],
        };
        let subtasks = parallelism.subtasks().zip(parts).map(part).collect();
        NodeSnapshot { node: node(name), module: None, states: Vec::new(), subtasks }
    }

    fn plan(nodes: &[(&str, u32)]) -> JobPlan {
        let task = |(name, subtasks): &(&str, u32)| {
            let id = node(name);
            let node = NodePlan { id, kind: NodeKind::Operator, keys_in_place: true, ports: Vec::new() };
            TaskPlan { parallelism: Parallelism(NonZeroU32::new(*subtasks).expect("some")), nodes: vec![node] }
        };
        JobPlan {
            tasks: nodes.iter().map(task).collect(),
            exchanges: Vec::new(),
            max_parallelism: MaxParallelism::DEFAULT,
            batch: BatchBounds::default(),
        }
    }

    fn restored() -> Restored {
        let pages = [page("in", &[(10, 1), (100, 2)]), page("count", &[(7, 1), (9, 2), (8, 4), (7, 8), (7, 16)])];
        Restored(pages.map(|page| (page.node.clone(), page)).into_iter().collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn the_same_subtasks_go_on_as_they_were() {
        let same = restored().in_plan(&plan(&[("in", 2), ("count", 5)]));
        assert_eq!(same.0, restored().0);
    }

    #[test]
    fn with_other_subtasks_no_event_in_time_becomes_late_and_no_count_is_lost() {
        let rescaled = restored().in_plan(&plan(&[("in", 2), ("count", 2)]));
        let times =
            |name: &str| rescaled.0[&node(name)].subtasks.iter().map(|part| part.watermark.0).collect::<Vec<_>>();
        assert_eq!((times("in"), times("count")), (vec![10, 10], vec![7; 5]));
        let counted = |subtask| rescaled.counters(&node("count"), SubtaskIndex(subtask)).to_vec();
        let count = |count: u64| vec![("events_in".to_owned(), count)];
        assert_eq!((counted(0), counted(1)), (count(1 + 4 + 16), count(2 + 8)));
        let grown = restored().in_plan(&plan(&[("in", 2), ("count", 8)]));
        assert_eq!(grown.counters(&node("count"), SubtaskIndex(4)), count(16));
        assert!(grown.counters(&node("count"), SubtaskIndex(7)).is_empty());
    }
}
