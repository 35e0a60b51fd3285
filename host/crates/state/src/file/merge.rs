//! Several files as one: what they say one after the other.

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
        let order = Vec::with_capacity(readers.len());
        let mut merged = Self { readers, order, rules, is_oldest, cleared: None, used: false };
        for reader in 0..merged.readers.len() {
            if merged.readers[reader].advance()? {
                merged.order.insert(0, reader);
                merged.sort_first_in(0);
            }
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
        while self.order.len() > 1 && self.position(self.order[1]) == self.position(self.order[0]) {
            self.advance_in(1)?;
        }
        self.advance_in(0)
    }

    fn advance_in(&mut self, at: usize) -> Result<(), PortError> {
        if self.readers[self.order[at]].advance()? {
            self.sort_first_in(at);
        } else {
            self.order.remove(at);
        }
        Ok(())
    }

    /// Brings the reader at `at` to its place among those behind it. It rarely goes far: mostly the same reader, that
    /// of the largest file, is the first one again.
    fn sort_first_in(&mut self, mut at: usize) {
        while at + 1 < self.order.len() && self.comes_before(self.order[at + 1], self.order[at]) {
            self.order.swap(at, at + 1);
            at += 1;
        }
    }

    fn comes_before(&self, left: usize, right: usize) -> bool {
        self.position(left).cmp(&self.position(right)).then(right.cmp(&left)).is_lt()
    }

    fn position(&self, reader: usize) -> Option<impl Ord> {
        self.readers[reader].entry().map(|entry| entry.position())
    }
}
