//! Two savepoints beside each other: for each state which keys only one of them has, and which have other values.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::Arc;

use gristmill_checkpoint::{NodeSnapshot, Savepoint, SavepointFolder, StateFile};
use gristmill_ports::state::{EntryPlace, StateEntries, StateEntry};
use gristmill_ports::{FileStore, PortError};
use gristmill_types::{JobId, KeyGroup, KeyGroupRange, NodeId};

use super::{Control, ControlError, blocking};

/// Samples of one state at most.
const MOST_SAMPLES: usize = 1000;

/// How two savepoints differ in one operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorDiff {
    /// The operator.
    pub operator: NodeId,
    /// Each state that one of them has, by name.
    pub states: Vec<StateDiff>,
}

/// How they differ in one state. Entries are counted: a list has one for each item, a map one for each name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// The state.
    pub state: String,
    /// Entries that are alike.
    pub same: u64,
    /// Entries that only the first has.
    pub only_a: u64,
    /// Entries that only the second has.
    pub only_b: u64,
    /// Entries that both have, with other values.
    pub different: u64,
    /// The first of those that are not alike.
    pub samples: Vec<DiffedEntry>,
}

/// An entry that is not alike in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffedEntry {
    /// Whose state it is.
    pub key: Vec<u8>,
    /// Which of the key's entries.
    pub place: EntryPlace,
    /// The values.
    pub diff: EntryDiff,
}

/// The values of an entry that is not alike in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryDiff {
    /// Only the first has it.
    OnlyA(Vec<u8>),
    /// Only the second has it.
    OnlyB(Vec<u8>),
    /// Both have it.
    Different(Vec<u8>, Vec<u8>),
}

/// One of two savepoints.
struct Side {
    savepoint: Savepoint,
    files: Arc<dyn FileStore>,
}

impl Control {
    /// How savepoint `b` differs from `a`, in all operators or in one; with at most `limit` samples for each state.
    ///
    /// # Errors
    /// If one of them is not there or damaged, or neither has the operator.
    pub async fn diff_savepoints(
        self: &Arc<Self>,
        a: (JobId, String),
        b: (JobId, String),
        operator: Option<NodeId>,
        limit: usize,
    ) -> Result<Vec<OperatorDiff>, ControlError> {
        let control = Arc::clone(self);
        blocking(move || {
            let (a, b) = (control.side(a)?, control.side(b)?);
            let with_state = |side: &Side| {
                let nodes = side.savepoint.nodes.iter().filter(|node| !node.states.is_empty());
                nodes.map(|node| node.node.clone()).collect::<Vec<_>>()
            };
            let all: BTreeSet<NodeId> = with_state(&a).into_iter().chain(with_state(&b)).collect();
            let wanted: Vec<NodeId> = match operator {
                Some(operator) if !all.contains(&operator) => {
                    let known = all.iter().map(NodeId::as_str);
                    return Err(ControlError::missing_in(
                        &a.savepoint.job,
                        super::Thing::Node,
                        operator.as_str(),
                        known,
                    ));
                }
                Some(operator) => vec![operator],
                None => all.into_iter().collect(),
            };
            let limit = limit.min(MOST_SAMPLES);
            let diff = |operator| control.diff_operator(operator, [&a, &b], limit);
            Ok(wanted.into_iter().map(diff).collect::<Result<_, PortError>>()?)
        })
        .await?
    }

    fn side(&self, (job, name): (JobId, String)) -> Result<Side, ControlError> {
        let savepoint = self.read_savepoint(&job, &name)?;
        let files = (self.parts.open_savepoint)(&SavepointFolder::new(&job, &name))?;
        Ok(Side { savepoint, files })
    }

    fn diff_operator(&self, operator: NodeId, sides: [&Side; 2], limit: usize) -> Result<OperatorDiff, PortError> {
        let nodes = sides.map(|side| side.savepoint.node(&operator));
        let names: BTreeSet<&str> =
            nodes.iter().flatten().flat_map(|node| &node.states).map(|state| state.name.as_str()).collect();
        let mut states = Vec::new();
        for name in names {
            let [a, b] = [0, 1].map(|side| self.entries_of(nodes[side], name, &*sides[side].files));
            let diff = StateDiff { state: name.to_owned(), ..StateDiff::default() };
            states.push(diff.lay_beside(a?, b?, limit)?);
        }
        Ok(OperatorDiff { operator, states })
    }

    /// The entries of one state, of all subtasks in one order.
    fn entries_of(
        &self,
        node: Option<&NodeSnapshot>,
        state: &str,
        files: &dyn FileStore,
    ) -> Result<StateEntries, PortError> {
        let place = node.and_then(|node| node.states.iter().position(|spec| spec.name == state));
        let (Some(node), Some(place)) = (node, place) else { return Ok(Box::new(std::iter::empty())) };
        let list: Vec<StateFile> = node
            .subtasks
            .iter()
            .flat_map(|part| {
                part.files.iter().map(|file| StateFile { groups: common(file.groups, part.groups), ..*file })
            })
            .collect();
        let entries = self.parts.state_reader.entries(&list, files)?;
        let is_meant = move |entry: &Result<StateEntry, PortError>| {
            entry.as_ref().map_or(true, |entry| entry.state as usize == place)
        };
        Ok(Box::new(entries.filter(is_meant)))
    }
}

/// The key groups that are in both ranges.
fn common(one: KeyGroupRange, other: KeyGroupRange) -> KeyGroupRange {
    KeyGroupRange { start: one.start.max(other.start), end: one.end.min(other.end) }
}

impl StateDiff {
    /// Merges two sorted sets of entries.
    fn lay_beside(mut self, a: StateEntries, b: StateEntries, limit: usize) -> Result<Self, PortError> {
        let (mut a, mut b) = (a.peekable(), b.peekable());
        loop {
            let order = match (place_of(&mut a)?, place_of(&mut b)?) {
                (None, None) => return Ok(self),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(one), Some(other)) => one.cmp(&other),
            };
            let one = if order.is_le() { a.next().transpose()? } else { None };
            let other = if order.is_ge() { b.next().transpose()? } else { None };
            self.note(one, other, limit);
        }
    }

    fn note(&mut self, one: Option<StateEntry>, other: Option<StateEntry>, limit: usize) {
        let (count, key, place, diff) = match (one, other) {
            (Some(one), Some(other)) if one.value == other.value => return self.same += 1,
            (Some(one), Some(other)) => {
                (&mut self.different, one.key, one.place, EntryDiff::Different(one.value, other.value))
            }
            (Some(one), None) => (&mut self.only_a, one.key, one.place, EntryDiff::OnlyA(one.value)),
            (None, Some(other)) => (&mut self.only_b, other.key, other.place, EntryDiff::OnlyB(other.value)),
            (None, None) => return,
        };
        *count += 1;
        if self.samples.len() < limit {
            self.samples.push(DiffedEntry { key, place, diff });
        }
    }
}

/// Where the next entry stands; states have other places in other savepoints.
type Place = (KeyGroup, Vec<u8>, EntryPlace);

fn place_of(entries: &mut Peekable<StateEntries>) -> Result<Option<Place>, PortError> {
    match entries.peek() {
        None => Ok(None),
        Some(Ok(entry)) => Ok(Some((entry.group, entry.key.clone(), entry.place.clone()))),
        Some(Err(error)) => Err(error.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> StateEntry {
        StateEntry {
            state: 0,
            group: KeyGroup(0),
            key: key.as_bytes().to_vec(),
            place: EntryPlace::Value,
            value: value.as_bytes().to_vec(),
        }
    }

    fn entries(of: &[(&str, &str)]) -> StateEntries {
        let all: Vec<_> = of.iter().map(|(key, value)| Ok(entry(key, value))).collect();
        Box::new(all.into_iter())
    }

    #[test]
    fn two_sorted_sets_are_told_apart_entry_by_entry() {
        let a = entries(&[("a", "1"), ("b", "2"), ("d", "4")]);
        let b = entries(&[("b", "2"), ("c", "3"), ("d", "5"), ("e", "6")]);
        let diff = StateDiff::default().lay_beside(a, b, 3).expect("nothing is damaged");
        assert_eq!((diff.same, diff.only_a, diff.only_b, diff.different), (1, 1, 2, 1));
        let keys: Vec<_> = diff.samples.iter().map(|sample| sample.key.as_slice()).collect();
        assert_eq!(keys, [b"a", b"c", b"d"], "no more than are wanted");
        assert_eq!(diff.samples[2].diff, EntryDiff::Different(b"4".to_vec(), b"5".to_vec()));
    }

    #[test]
    fn what_is_damaged_is_no_difference() {
        let torn: StateEntries = Box::new([Ok(entry("a", "1")), Err(PortError::fatal("torn"))].into_iter());
        assert!(StateDiff::default().lay_beside(torn, entries(&[("a", "1"), ("b", "2")]), 3).is_err());
    }
}
