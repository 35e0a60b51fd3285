//! Several files as one: what they say one after the other.

use std::cmp::Ordering;

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::StateTime;
use gristmill_ports::{FileStore, PortError};
use gristmill_types::descriptor::{ClockKind, StateSpec};
use gristmill_types::{KeyGroup, KeyGroupRange};

use super::entry::{BEFORE_TIME, Change, Entry};
use super::reader::FileReader;

/// The key groups that are in both ranges.
pub(crate) fn common(one: KeyGroupRange, other: KeyGroupRange) -> KeyGroupRange {
    KeyGroupRange { start: one.start.max(other.start), end: one.end.min(other.end) }
}

/// What has become of the entries of a state meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    ttl_ms: Option<i64>,
    now: i64,
}

impl Rule {
    /// The time to live under which `spec`'s entries were written.
    pub(crate) fn of(spec: &StateSpec, time: StateTime) -> Self {
        let now = match spec.ttl_clock {
            ClockKind::EventTime => time.event_ms,
            ClockKind::ProcessingTime => time.processing_ms,
        };
        Self { ttl_ms: spec.ttl_ms.map(|ttl| i64::try_from(ttl).unwrap_or(i64::MAX)), now }
    }

    fn has_expired(self, change: &Change<'_>) -> bool {
        let written = change.stored().and_then(|stored| stored.written).filter(|written| *written != BEFORE_TIME);
        self.ttl_ms.zip(written).is_some_and(|(ttl, written)| written.saturating_add(ttl) <= self.now)
    }
}

/// The entries of some files in one order; of those at the same place the newest, and none that a newer clear hides.
///
/// What has expired is gone: as if it had been deleted, or without a trace if nothing older can come to light.
pub(crate) struct Merged {
    /// Oldest first.
    readers: Vec<FileReader>,
    /// Readers that are not at their end, by the place of their entry; at the same place the newest first.
    order: Vec<usize>,
    /// Of each reader's entry.
    ranks: Vec<Rank>,
    rules: Vec<Rule>,
    is_oldest: bool,
    /// The last clear: what older files than this one say of this key does not count.
    cleared: Option<Cleared>,
    /// The first reader's entry was handed out.
    used: bool,
}

struct Cleared {
    state: u32,
    group: KeyGroup,
    key: Vec<u8>,
    reader: usize,
}

impl Merged {
    /// Opens files, oldest first. `is_oldest`: nothing stands before them, so that deletions need not be told.
    ///
    /// # Errors
    /// `Retry` if a file cannot be read; `Fatal` if one is missing or damaged.
    pub(crate) fn open(
        neighbours: &[StateFile],
        groups: KeyGroupRange,
        rules: Vec<Rule>,
        is_oldest: bool,
        files: &dyn FileStore,
    ) -> Result<Self, PortError> {
        // A file that two lists took over counts in each for the groups that went there, whatever else is in it.
        let open = |file: &StateFile| {
            let groups = common(file.groups, groups);
            FileReader::open(&files.open(&file.file)?, file.file.to_string(), groups)
        };
        let readers = neighbours.iter().map(open).collect::<Result<Vec<_>, PortError>>()?;
        let (order, ranks) = (Vec::with_capacity(readers.len()), vec![Rank::default(); readers.len()]);
        let mut merged = Self { readers, order, ranks, rules, is_oldest, cleared: None, used: false };
        for reader in 0..merged.readers.len() {
            merged.order.insert(0, reader);
            merged.advance_in(0)?;
        }
        Ok(merged)
    }

    /// Goes to the next entry. `false` behind the last one.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) fn advance(&mut self) -> Result<bool, PortError> {
        if std::mem::take(&mut self.used) {
            self.pass_first()?;
        }
        while let Some(&first) = self.order.first() {
            if self.counts(first) {
                self.used = true;
                return Ok(true);
            }
            self.pass_first()?;
        }
        Ok(false)
    }

    /// The entry at hand.
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        let mut entry = self.readers[*self.order.first()?].entry()?;
        if self.rule(entry.state).is_some_and(|rule| rule.has_expired(&entry.change)) {
            entry.change = match entry.change {
                Change::PutValue(_) => Change::DeleteValue,
                Change::PutEntry(name, _) => Change::DeleteEntry(name),
                other @ (Change::DeleteValue
                | Change::ClearList
                | Change::Item(..)
                | Change::ClearMap
                | Change::DeleteEntry(_)) => other,
            };
        }
        Some(entry)
    }

    fn rule(&self, state: u32) -> Option<Rule> {
        self.rules.get(state as usize).copied()
    }

    /// Whether the entry of the first reader is to be told; remembers clears.
    fn counts(&mut self, first: usize) -> bool {
        let Some(entry) = self.readers[first].entry() else { return false };
        let cleared = self.cleared.as_ref().filter(|it| (it.state, it.group, it.key.as_slice()) == entry.owner());
        if cleared.is_some_and(|cleared| first < cleared.reader) {
            return false;
        }
        let expired = self.rule(entry.state).is_some_and(|rule| rule.has_expired(&entry.change));
        match entry.change {
            Change::ClearList | Change::ClearMap => {
                let (state, group, key) = (entry.state, entry.group, entry.key.to_vec());
                self.cleared = Some(Cleared { state, group, key, reader: first });
                !self.is_oldest
            }
            Change::DeleteValue | Change::DeleteEntry(_) => !self.is_oldest,
            Change::Item(..) => !expired,
            Change::PutValue(_) | Change::PutEntry(..) => !(expired && self.is_oldest),
        }
    }

    /// Goes on behind the first reader's entry, with all readers that stand at the same place.
    fn pass_first(&mut self) -> Result<(), PortError> {
        while self.order.len() > 1 && self.compare(self.order[0], self.order[1]).is_eq() {
            self.advance_in(1)?;
        }
        self.advance_in(0)
    }

    fn advance_in(&mut self, at: usize) -> Result<(), PortError> {
        let reader = self.order[at];
        if self.readers[reader].advance()? {
            self.ranks[reader] = self.readers[reader].owner().map_or_else(Rank::default, Rank::of);
            self.sort_in(at);
        } else {
            self.order.remove(at);
        }
        Ok(())
    }

    /// Brings the reader at `at` to its place among those behind it. Mostly it stays where it is, if it reads by far the
    /// largest file; otherwise it may go anywhere.
    fn sort_in(&mut self, at: usize) {
        let (moved, behind) = (self.order[at], &self.order[at + 1..]);
        let rank = self.ranks[moved];
        // By rank alone this is a search without branches: which way it goes cannot be foretold.
        let mut passed = behind.partition_point(|other| self.ranks[*other].is_below(rank));
        while behind.get(passed).is_some_and(|other| self.compare(*other, moved).then(moved.cmp(other)).is_lt()) {
            passed += 1;
        }
        self.order[at..=at + passed].rotate_left(1);
    }

    /// The places of two readers' entries.
    fn compare(&self, left: usize, right: usize) -> Ordering {
        let (one, other) = (&self.readers[left], &self.readers[right]);
        let owners = || if self.ranks[left].is_whole() { Ordering::Equal } else { one.owner().cmp(&other.owner()) };
        self.ranks[left].cmp(&self.ranks[right]).then_with(owners).then_with(|| one.place().cmp(&other.place()))
    }
}

/// An owner as a number: of two that differ, their owners differ in the same way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// State, key group and the first bytes of the key.
    high: u128,
    /// Further bytes of the key, with zeros behind it, and how many it has; they tell it from the same with zeros behind it.
    low: u128,
}

impl Rank {
    const KEY_BYTES: usize = 25;

    #[inline]
    fn of((state, group, key): (u32, KeyGroup, &[u8])) -> Self {
        let first = key.len().min(Self::KEY_BYTES);
        let mut bytes = [0; 2 * size_of::<u128>()];
        bytes[..4].copy_from_slice(&state.to_be_bytes());
        bytes[4..6].copy_from_slice(&group.0.to_be_bytes());
        bytes[6..6 + first].copy_from_slice(&key[..first]);
        bytes[6 + Self::KEY_BYTES] = key.len().min(Self::KEY_BYTES + 1) as u8;
        let half = |number: usize| u128::from_be_bytes(bytes.as_chunks().0[number]);
        Self { high: half(0), low: half(1) }
    }

    /// Who else has this rank is the same owner: it has the whole key.
    fn is_whole(self) -> bool {
        self.low as u8 as usize <= Self::KEY_BYTES
    }

    /// The same as `<`, without branches.
    #[inline]
    fn is_below(self, other: Self) -> bool {
        (self.high < other.high) | ((self.high == other.high) & (self.low < other.low))
    }
}

#[cfg(test)]
mod tests;
