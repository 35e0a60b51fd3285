//! Two savepoints or checkpoints beside each other: for each state which keys only one of them has, and which have other
//! values.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::Arc;

use gristmill_checkpoint::{Manifest, NodeSnapshot, RunFolder, SavepointFolder, StateFile};
use gristmill_ports::state::{EntryPlace, StateEntries, StateEntry};
use gristmill_ports::{FileStore, PortError};
use gristmill_types::{CheckpointId, JobId, KeyGroup, KeyGroupRange, NodeId, RunId};

use super::storage::newest;
use super::{Control, ControlError, Thing, blocking};

/// Samples of one state at most.
const MOST_SAMPLES: usize = 1000;
/// How often it is begun anew if the newest checkpoint was retired while it was read.
const TRIES: usize = 5;

/// Where state is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateAt {
    /// In a savepoint of a job, by its name.
    Savepoint(JobId, String),
    /// In a checkpoint of a job that is kept; `None` is the newest.
    Checkpoint(JobId, Option<CheckpointId>),
}

impl StateAt {
    fn job(&self) -> &JobId {
        match self {
            Self::Savepoint(job, _) | Self::Checkpoint(job, _) => job,
        }
    }
}

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

/// One of the two.
struct Side {
    nodes: Vec<NodeSnapshot>,
    files: Arc<dyn FileStore>,
}

impl Side {
    fn node(&self, id: &NodeId) -> Option<&NodeSnapshot> {
        self.nodes.iter().find(|node| node.node == *id)
    }

    fn with_state(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().filter(|node| !node.states.is_empty()).map(|node| node.node.clone())
    }
}

impl Control {
    /// How the state at `b` differs from that at `a`, in all operators or in one; with at most `limit` samples for each
    /// state.
    ///
    /// # Errors
    /// If one of them is not there or damaged, or neither has the operator.
    pub async fn diff_states(
        self: &Arc<Self>,
        a: StateAt,
        b: StateAt,
        operator: Option<NodeId>,
        limit: usize,
    ) -> Result<Vec<OperatorDiff>, ControlError> {
        let control = Arc::clone(self);
        blocking(move || {
            let comes_and_goes = [&a, &b].iter().any(|at| matches!(at, StateAt::Checkpoint(_, None)));
            let mut tries = if comes_and_goes { TRIES } else { 1 };
            loop {
                tries -= 1;
                match control.diff_sides(&a, &b, operator.as_ref(), limit.min(MOST_SAMPLES)) {
                    Err(ControlError::Store(error)) if tries > 0 => {
                        tracing::debug!(%error, "a checkpoint may have been retired while it was read");
                    }
                    done => return done,
                }
            }
        })
        .await?
    }

    fn diff_sides(
        &self,
        a: &StateAt,
        b: &StateAt,
        operator: Option<&NodeId>,
        limit: usize,
    ) -> Result<Vec<OperatorDiff>, ControlError> {
        let sides = [self.side(a)?, self.side(b)?];
        let all: BTreeSet<NodeId> = sides.iter().flat_map(Side::with_state).collect();
        let wanted: Vec<NodeId> = match operator {
            Some(operator) if !all.contains(operator) => {
                let known = all.iter().map(NodeId::as_str);
                return Err(ControlError::missing_in(a.job(), Thing::Node, operator.as_str(), known));
            }
            Some(operator) => vec![operator.clone()],
            None => all.into_iter().collect(),
        };
        let diff = |operator| self.diff_operator(operator, [&sides[0], &sides[1]], limit);
        Ok(wanted.into_iter().map(diff).collect::<Result<_, PortError>>()?)
    }

    fn side(&self, at: &StateAt) -> Result<Side, ControlError> {
        match at {
            StateAt::Savepoint(job, name) => {
                let nodes = self.read_savepoint(job, name)?.nodes;
                let files = (self.parts.open_savepoint)(&SavepointFolder::new(job, name))?;
                Ok(Side { nodes, files })
            }
            StateAt::Checkpoint(job, wanted) => self.side_of_checkpoint(job, *wanted),
        }
    }

    fn side_of_checkpoint(&self, job: &JobId, wanted: Option<CheckpointId>) -> Result<Side, ControlError> {
        let known = || Ok::<_, PortError>(self.parts.catalog.jobs()?.into_iter().map(|one| one.id.to_string()));
        let Some(record) = self.parts.catalog.job(job)? else {
            let known: Vec<String> = known()?.collect();
            return Err(ControlError::missing(Thing::Job, job.as_str(), known.iter().map(String::as_str)));
        };
        let number = || wanted.map_or_else(|| "newest".to_owned(), |number| number.to_string());
        let none = || ControlError::missing_in(job, Thing::Checkpoint, &number(), []);
        let run = record.run.ok_or_else(none)?;
        let manifest = newest(&*self.parts.checkpoints, job, run, wanted)?.ok_or_else(none)?;
        let nodes = self.pages_of(&manifest, job, run)?;
        Ok(Side { nodes, files: (self.parts.open_run)(job, run)? })
    }

    fn pages_of(&self, manifest: &Manifest, job: &JobId, run: RunId) -> Result<Vec<NodeSnapshot>, PortError> {
        let folder = RunFolder::new(job, run);
        let page = |page: &gristmill_checkpoint::PageRef| {
            let bytes = self.parts.checkpoints.get(&folder.file(&page.file))?;
            let bytes = bytes.ok_or_else(|| PortError::retry(format!("the page of `{}` is gone", page.node)))?;
            NodeSnapshot::decode(&bytes).map_err(|why| PortError::fatal(format!("the page of `{}`: {why}", page.node)))
        };
        manifest.pages.iter().map(page).collect()
    }

    fn diff_operator(&self, operator: NodeId, sides: [&Side; 2], limit: usize) -> Result<OperatorDiff, PortError> {
        let nodes = sides.map(|side| side.node(&operator));
        let names = nodes.iter().flatten().flat_map(|node| &node.states).map(|state| state.name.as_str());
        // All was moved out of one without a name.
        let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
        let mut states = Vec::new();
        for name in names {
            let [a, b] = [0, 1].map(|side| self.entries_of(nodes[side], name, &*sides[side].files));
            let diff = StateDiff { state: name.to_owned(), ..StateDiff::default() };
            states.push(diff.lay_beside(a?, b?, limit)?);
        }
        Ok(OperatorDiff { operator, states })
    }

    /// The entries of one state, of all subtasks in one order. While it is being rewritten it stands there in both
    /// schemas, each key in one of them.
    fn entries_of(
        &self,
        node: Option<&NodeSnapshot>,
        state: &str,
        files: &dyn FileStore,
    ) -> Result<StateEntries, PortError> {
        let mut all: StateEntries = Box::new(std::iter::empty());
        let Some(node) = node else { return Ok(all) };
        let list: Vec<StateFile> = node
            .subtasks
            .iter()
            .flat_map(|part| {
                part.files.iter().map(|file| StateFile { groups: common(file.groups, part.groups), ..*file })
            })
            .collect();
        for (place, _) in node.states.iter().enumerate().filter(|(_, spec)| spec.name == state) {
            let is_meant = move |entry: &Result<StateEntry, PortError>| {
                entry.as_ref().map_or(true, |entry| entry.state as usize == place)
            };
            let more = self.parts.state_reader.entries(&list, files)?.filter(is_meant);
            all = Box::new(InOrder { one: all.peekable(), other: (Box::new(more) as StateEntries).peekable() });
        }
        Ok(all)
    }
}

/// Two sorted sets of entries as one.
struct InOrder {
    one: Peekable<StateEntries>,
    other: Peekable<StateEntries>,
}

impl Iterator for InOrder {
    type Item = Result<StateEntry, PortError>;

    fn next(&mut self) -> Option<Self::Item> {
        match (place_of(&mut self.one), place_of(&mut self.other)) {
            (Err(_), _) | (Ok(Some(_)), Ok(None)) => self.one.next(),
            (_, Err(_)) | (Ok(None), _) => self.other.next(),
            (Ok(Some(one)), Ok(Some(other))) if one <= other => self.one.next(),
            (Ok(Some(_)), Ok(Some(_))) => self.other.next(),
        }
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
    fn a_state_in_two_schemas_is_one_set_of_entries() {
        let both = InOrder {
            one: entries(&[("a", "1"), ("d", "4")]).peekable(),
            other: entries(&[("b", "2"), ("c", "3"), ("e", "5")]).peekable(),
        };
        let keys: Vec<_> = both.map(|entry| entry.expect("nothing is damaged").key).collect();
        assert_eq!(keys, [b"a", b"b", b"c", b"d", b"e"]);
    }

    #[test]
    fn what_is_damaged_is_no_difference() {
        let torn: StateEntries = Box::new([Ok(entry("a", "1")), Err(PortError::fatal("torn"))].into_iter());
        assert!(StateDiff::default().lay_beside(torn, entries(&[("a", "1"), ("b", "2")]), 3).is_err());
    }
}
