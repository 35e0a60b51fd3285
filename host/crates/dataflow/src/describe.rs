//! A plan in words, for people: what runs together, and what stands between.

use std::fmt::Write;

use crate::document::KeyBy;
use crate::plan::{JobPlan, Partitioning, Route, TaskPlan};

/// A line for each task, such as `task 0 ×2: orders → enrich`, then one for each exchange, such as
/// `0 → 1 by key $.customer_id`. A node that feeds several of its task has its branches in brackets:
/// `orders → (enrich → out, audit)`.
#[must_use]
pub fn describe(plan: &JobPlan) -> String {
    let mut text = String::new();
    for (place, task) in plan.tasks.iter().enumerate() {
        let subtasks = task.parallelism.get();
        writeln!(text, "task {place} ×{subtasks}: {}", chain(task)).expect("a string takes all text");
    }
    for exchange in &plan.exchanges {
        let how = match &exchange.partitioning {
            Partitioning::KeyBy(KeyBy::OwnKey) => "by its own key".to_owned(),
            Partitioning::KeyBy(KeyBy::Paths(paths)) => format!("by key {}", paths.join(", ")),
            Partitioning::Forward => "straight".to_owned(),
            Partitioning::Rebalance => "in turn".to_owned(),
            Partitioning::Broadcast => "to all".to_owned(),
        };
        writeln!(text, "{} → {} {how}", exchange.from.0, exchange.to).expect("a string takes all text");
    }
    text
}

/// The nodes of a task. A node stands after the one that feeds it, so the branches are put together from the end.
fn chain(task: &TaskPlan) -> String {
    let mut texts: Vec<String> = task.nodes.iter().map(|node| node.id.to_string()).collect();
    for (place, node) in task.nodes.iter().enumerate().rev() {
        let routes = node.ports.iter().flatten();
        let fed: Vec<usize> = routes
            .filter_map(|route| match route {
                Route::Chained { node, .. } => Some(*node),
                Route::Exchange(_) => None,
            })
            .collect();
        let branches: Vec<String> = fed.iter().map(|node| std::mem::take(&mut texts[*node])).collect();
        match branches.as_slice() {
            [] => {}
            [only] => texts[place] = format!("{} → {only}", texts[place]),
            several => texts[place] = format!("{} → ({})", texts[place], several.join(", ")),
        }
    }
    texts.into_iter().next().unwrap_or_default()
}
