//! What a checkpoint or a savepoint has, laid beside what a job declares: what fits, what must be rewritten, what is new,
//! and what would be lost. Decided before anything is stopped or started.

use std::collections::BTreeSet;
use std::fmt;

use gristmill_types::descriptor::{StateKind, StateSpec};
use gristmill_types::{MaxParallelism, NodeId};
use serde::Serialize;

/// What a job declares of one of its nodes.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// Its states; none if it is no operator.
    pub states: &'a [StateSpec],
    /// Its module rewrites what other versions have written.
    pub migrates: bool,
}

/// What is there of one node.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// Its states, in the order in which entries name them.
    pub states: &'a [StateSpec],
    /// It has something that a job which lacks the node would lose: entries, or places where sources stand.
    pub is_occupied: bool,
}

/// What becomes of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "becomes", rename_all = "kebab-case")]
pub enum NodeFit {
    /// It goes on; and its states.
    Continued {
        /// The node.
        node: NodeId,
        /// What becomes of each of its states, those that are there first.
        states: Vec<StateFit>,
    },
    /// It is not there: the node begins empty.
    New {
        /// The node.
        node: NodeId,
    },
    /// The job has no such node; it was said that what is there of it may go.
    Dropped {
        /// The node.
        node: NodeId,
    },
}

/// What becomes of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "becomes", rename_all = "kebab-case")]
pub enum StateFit {
    /// It is read as it is.
    Same {
        /// Its name.
        state: String,
    },
    /// The module rewrites it.
    Migrated {
        /// Its name.
        state: String,
        /// The schema version that is there.
        from_version: u32,
        /// The kind that is there.
        from_kind: StateKind,
        /// The schema version that the module declares.
        to_version: u32,
        /// The kind that the module declares.
        to_kind: StateKind,
    },
    /// It begins empty.
    New {
        /// Its name.
        state: String,
    },
    /// The module does not declare it; it was said that it may go.
    Dropped {
        /// Its name.
        state: String,
    },
}

/// Why something does not fit. Each says what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Key groups are fixed for the life of a state.
    #[error(
        "it has {found} key groups, the job {declared}; set `max_parallelism: {found}`, which is fixed for the life of a state"
    )]
    KeyGroups {
        /// Of what is there.
        found: u32,
        /// Of the job.
        declared: u32,
    },
    /// A node is gone.
    #[error(
        "the job has no `{node}`, of which there is something; give a node this id, or drop it by name: `{node}`{}",
        nearest(near)
    )]
    NodeLost {
        /// The node that is there.
        node: NodeId,
        /// New nodes of the job, which may be the same under another name.
        near: Vec<NodeId>,
    },
    /// A state is gone.
    #[error(
        "`{node}` does not declare state `{state}` any more, of which there is something; drop it by name: `{node}.{state}`"
    )]
    StateLost {
        /// The node.
        node: NodeId,
        /// The state.
        state: String,
    },
    /// A state changed, and nobody rewrites it.
    #[error(
        "state `{state}` of `{node}` is {from} there, and {to} in the module, which exports no `migration`; export it, or drop the state by name: `{node}.{state}`"
    )]
    NoMigration {
        /// The node.
        node: NodeId,
        /// The state.
        state: String,
        /// What is there.
        from: Schema,
        /// What the module declares.
        to: Schema,
    },
    /// Somebody may have mistyped it.
    #[error("`{name}` is to be dropped, but there is no such node or state")]
    NothingToDrop {
        /// What was named.
        name: String,
    },
}

/// A state's kind and version, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// Its kind.
    pub kind: StateKind,
    /// Its version.
    pub version: u32,
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StateKind::Value => "a value",
            StateKind::AppendList => "an append-list",
            StateKind::OrderedMap => "an ordered-map",
            StateKind::Accumulator => "an accumulator",
        };
        write!(f, "{kind} of schema version {}", self.version)
    }
}

fn nearest(near: &[NodeId]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let names: Vec<String> = near.iter().map(|node| format!("`{node}`")).collect();
    format!("; new in the job: {}", names.join(", "))
}

/// Lays what is there beside what a job declares. `dropped`: names of nodes, and of states as `node.state`, that may go.
///
/// # Errors
/// All that does not fit.
pub fn fit(
    stored: (MaxParallelism, &[Stored<'_>]),
    declared: (MaxParallelism, &[Declared<'_>]),
    dropped: &BTreeSet<String>,
) -> Result<Vec<NodeFit>, Vec<Misfit>> {
    let mut misfits = Vec::new();
    if stored.0 != declared.0 {
        misfits.push(Misfit::KeyGroups { found: stored.0.get(), declared: declared.0.get() });
    }
    let (stored, declared) = (stored.1, declared.1);
    let (mut fits, mut used) = (Vec::new(), BTreeSet::new());
    let new: Vec<NodeId> =
        declared.iter().map(|one| one.node).filter(|id| !stored.iter().any(|one| one.node == *id)).cloned().collect();
    for there in stored {
        match declared.iter().find(|one| one.node == there.node) {
            Some(wanted) => match fit_states(there, wanted, dropped, &mut used) {
                Ok(states) => fits.push(NodeFit::Continued { node: there.node.clone(), states }),
                Err(more) => misfits.extend(more),
            },
            None if dropped.contains(there.node.as_str()) => {
                used.insert(there.node.to_string());
                fits.push(NodeFit::Dropped { node: there.node.clone() });
            }
            None if there.is_occupied => misfits.push(Misfit::NodeLost { node: there.node.clone(), near: new.clone() }),
            None => fits.push(NodeFit::Dropped { node: there.node.clone() }),
        }
    }
    fits.extend(new.into_iter().map(|node| NodeFit::New { node }));
    misfits.extend(dropped.difference(&used).map(|name| Misfit::NothingToDrop { name: name.clone() }));
    if misfits.is_empty() { Ok(fits) } else { Err(misfits) }
}

/// The same for the states of one node. What is dropped by name is put into `used`.
///
/// # Errors
/// All that does not fit.
pub fn fit_states(
    there: &Stored<'_>,
    wanted: &Declared<'_>,
    dropped: &BTreeSet<String>,
    used: &mut BTreeSet<String>,
) -> Result<Vec<StateFit>, Vec<Misfit>> {
    let (mut fits, mut misfits) = (Vec::new(), Vec::new());
    // While a state is being rewritten it stands there in both schemas, the newer one last.
    // Once that is done the older one has no name any more.
    let names = there.states.iter().map(|state| state.name.as_str()).filter(|name| !name.is_empty());
    let names: BTreeSet<&str> = names.collect();
    for name in names {
        let (node, state) = (there.node.clone(), name.to_owned());
        let place = format!("{node}.{name}");
        let may_go = dropped.contains(&place);
        if may_go {
            used.insert(place);
        }
        match wanted.states.iter().find(|one| one.name == name) {
            None if may_go || !there.is_occupied => fits.push(StateFit::Dropped { state }),
            None => misfits.push(Misfit::StateLost { node, state }),
            Some(_) if may_go => {
                fits.push(StateFit::Dropped { state: state.clone() });
                fits.push(StateFit::New { state });
            }
            Some(to) => {
                let differs = |from: &&StateSpec| (from.version, from.kind) != (to.version, to.kind);
                match there.states.iter().filter(|from| from.name == name).find(differs) {
                    None => fits.push(StateFit::Same { state }),
                    Some(from) if wanted.migrates => fits.push(StateFit::Migrated {
                        state,
                        from_version: from.version,
                        from_kind: from.kind,
                        to_version: to.version,
                        to_kind: to.kind,
                    }),
                    Some(from) => misfits.push(Misfit::NoMigration {
                        node,
                        state,
                        from: Schema { kind: from.kind, version: from.version },
                        to: Schema { kind: to.kind, version: to.version },
                    }),
                }
            }
        }
    }
    let is_new = |one: &&StateSpec| !there.states.iter().any(|state| state.name == one.name);
    fits.extend(wanted.states.iter().filter(is_new).map(|one| StateFit::New { state: one.name.clone() }));
    if misfits.is_empty() { Ok(fits) } else { Err(misfits) }
}

#[cfg(test)]
mod tests;
