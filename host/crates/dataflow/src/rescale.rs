//! Another number of subtasks for nodes of a job that has run: a document → the document with which it goes on.
//!
//! What the new document says is checked as any other. Sinks keep the numbers they have: what their subtasks wrote, in
//! files that are named by subtask or under keys by which a receiver knows it again, is theirs.

use std::collections::BTreeMap;

use gristmill_types::{NodeId, Parallelism};
use serde::Serialize;

use crate::document::JobDocument;
use crate::graph::{nodes_of, sink_parallelism};
use crate::names::suggest;
use crate::plan::NodeKind;

/// What is to change. Empty, nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rescale {
    /// The job's parallelism: that of its operators and sources that do not say otherwise.
    pub parallelism: Option<Parallelism>,
    /// That of operators, which say it from now on.
    pub operators: BTreeMap<NodeId, Parallelism>,
    /// That of sources, the same.
    pub sources: BTreeMap<NodeId, Parallelism>,
}

/// A node that has another number of subtasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rescaled {
    /// Which.
    pub node: NodeId,
    /// Subtasks before.
    pub from: Parallelism,
    /// And after.
    pub to: Parallelism,
}

/// Why a document is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRescaled {
    /// Nothing was asked for.
    #[error("nothing is to change: say a `parallelism`, or that of some of the `operators` or `sources`")]
    NothingAsked,
    /// There is no such node.
    #[error("the job has no {kind} `{node}`{}", .hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default())]
    NoSuchNode {
        /// A source or an operator.
        kind: &'static str,
        /// What was named.
        node: NodeId,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// A sink was named.
    #[error(
        "`{0}` is a sink, and a sink keeps the subtasks that it has, since files and requests are theirs; another number takes \
         another job, which can begin from a savepoint"
    )]
    Sink(NodeId),
    /// Each node has its number of subtasks already. With those that do not follow the job.
    #[error("no node would have another number of subtasks than it has{}", own(.0))]
    Same(Vec<NodeId>),
}

/// Those that do not follow the job, in a sentence.
fn own(nodes: &[NodeId]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| format!("`{node}`")).collect();
    match nodes {
        [] => String::new(),
        [_] => format!("; {} says its own parallelism, name it to change that", names.join(", ")),
        _ => format!("; {} say their own parallelism, name them to change that", names.join(", ")),
    }
}

/// The document with which the job goes on, and what differs.
///
/// # Errors
/// If nothing would differ, or something is named that cannot.
pub fn rescale(document: &JobDocument, wish: &Rescale) -> Result<(JobDocument, Vec<Rescaled>), NotRescaled> {
    if *wish == Rescale::default() {
        return Err(NotRescaled::NothingAsked);
    }
    let mut new = document.clone();
    if let Some(parallelism) = wish.parallelism {
        new.parallelism = parallelism;
        for spec in new.sinks.values_mut() {
            let before = sink_parallelism(document, spec);
            spec.parallelism = spec.parallelism.or(Some(before).filter(|before| *before != parallelism));
        }
    }
    for (id, parallelism) in &wish.operators {
        let spec =
            new.operators.get_mut(id).ok_or_else(|| no_such(document, "operator", id, document.operators.keys()))?;
        spec.parallelism = Some(*parallelism);
    }
    for (id, parallelism) in &wish.sources {
        let spec = new.sources.get_mut(id).ok_or_else(|| no_such(document, "source", id, document.sources.keys()))?;
        spec.parallelism = Some(*parallelism);
    }
    let pairs = nodes_of(document).into_iter().zip(nodes_of(&new));
    let differ = pairs.filter(|(before, after)| before.parallelism != after.parallelism);
    let rescaled: Vec<_> = differ
        .map(|(before, after)| Rescaled { node: before.id.clone(), from: before.parallelism, to: after.parallelism })
        .collect();
    if rescaled.is_empty() {
        let is_own =
            |spec: &Option<Parallelism>| wish.parallelism.is_some_and(|wanted| spec.is_some_and(|own| own != wanted));
        let own = document.operators.iter().filter(|(_, spec)| is_own(&spec.parallelism)).map(|(id, _)| id.clone());
        return Err(NotRescaled::Same(own.collect()));
    }
    Ok((new, rescaled))
}

fn no_such<'a>(
    document: &JobDocument,
    kind: &'static str,
    node: &NodeId,
    known: impl Iterator<Item = &'a NodeId> + Clone,
) -> NotRescaled {
    let is_sink = nodes_of(document).iter().any(|one| one.kind == NodeKind::Sink && one.id == node);
    if is_sink {
        return NotRescaled::Sink(node.clone());
    }
    NotRescaled::NoSuchNode { kind, node: node.clone(), hint: suggest(node.as_str(), known.map(NodeId::as_str)) }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const DOCUMENT: &str = "
version: 1
job: test
parallelism: 2
sources: {in: {from: {generator: {}}}, posted: {from: {http: {}}}}
operators:
  count: {module: count@1, inputs: {in: {from: in, key_by: $.k}}}
  own: {module: own@1, parallelism: 3, inputs: {in: {from: count}}}
sinks: {out: {inputs: [own], to: blackhole}, more: {inputs: [own], to: blackhole, parallelism: 1}}
";

    fn document() -> JobDocument {
        JobDocument::parse(DOCUMENT).expect("a good document")
    }

    fn subtasks(number: u32) -> Parallelism {
        Parallelism(NonZeroU32::new(number).expect("not zero"))
    }

    fn named(nodes: &[(&str, u32)]) -> BTreeMap<NodeId, Parallelism> {
        nodes.iter().map(|(node, number)| (node.parse().expect("an id"), subtasks(*number))).collect()
    }

    fn whole(number: u32) -> Rescale {
        Rescale { parallelism: Some(subtasks(number)), ..Rescale::default() }
    }

    fn differ(wish: &Rescale) -> Vec<(String, u32, u32)> {
        let (_, rescaled) = rescale(&document(), wish).expect("it can be changed");
        rescaled.iter().map(|one| (one.node.to_string(), one.from.get(), one.to.get())).collect()
    }

    #[test]
    fn the_whole_job_is_what_says_nothing_else_and_is_no_sink() {
        assert_eq!(differ(&whole(4)), [("in".into(), 2, 4), ("count".into(), 2, 4)]);
        let (new, _) = rescale(&document(), &whole(4)).expect("it can be changed");
        assert_eq!((new.parallelism, new.sinks[0].parallelism), (subtasks(4), Some(subtasks(2))));
    }

    #[test]
    fn nodes_that_are_named_say_their_own_from_now_on() {
        let wish = Rescale { operators: named(&[("own", 1)]), sources: named(&[("in", 1)]), ..Rescale::default() };
        assert_eq!(differ(&wish), [("in".into(), 2, 1), ("own".into(), 3, 1)]);
        let both = Rescale { operators: named(&[("count", 2)]), ..whole(5) };
        assert_eq!(differ(&both), [("in".into(), 2, 5)], "what is named stays what it is named");
    }

    #[test]
    fn what_cannot_be_done_is_a_sentence() {
        let operators = |nodes: &[(&str, u32)]| Rescale { operators: named(nodes), ..Rescale::default() };
        for (wish, says) in [
            (Rescale::default(), "nothing is to change"),
            (operators(&[("cuont", 2)]), "no operator `cuont`: did you mean `count`?"),
            (operators(&[("out", 2)]), "`out` is a sink"),
            (operators(&[("own", 3)]), "no node would have another number"),
            (whole(2), "than it has; `own` says its own parallelism"),
        ] {
            let refused = rescale(&document(), &wish).expect_err("nothing changes").to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
