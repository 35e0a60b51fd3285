//! A line of versions of the module that counts by key. Each keeps its counts in another kind of state than the one
//! before it, rewrites what that one has kept, and back, and complains of all else that it is asked to read: a
//! complaint lasts, even if the host takes it for a reason to roll back.

use std::sync::{Arc, Mutex};

use gristmill_ports::StateBackend;
use gristmill_ports::migration::{Entries, Migration};
use gristmill_types::descriptor::StateKind;
use gristmill_types::{CallFailure, Column, EventBatch, ModuleHash, Outcome, Rows, StateIndex};

use crate::counting::count;
use crate::fakes::Native;
use crate::fakes::native::emitted;

/// What versions were asked that they should not have been. A clone is the same list.
#[derive(Clone, Default)]
pub(crate) struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn note<T>(&self, done: Result<T, String>) -> Result<T, CallFailure> {
        done.map_err(|why| {
            self.0.lock().unwrap().push(why.clone());
            CallFailure::Fatal(why)
        })
    }
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(pub(crate) u8);

const COUNTS: StateIndex = StateIndex(0);

impl Version {
    /// Has nobody before it whose state it could rewrite.
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn of(module: ModuleHash) -> Self {
        Self(module.0[0])
    }

    fn numbered(version: u32) -> Self {
        Self(u8::try_from(version).unwrap())
    }

    pub(crate) fn hash(self) -> ModuleHash {
        ModuleHash([self.0; 32])
    }

    pub(crate) fn successor(self) -> Self {
        Self(self.0 + 1)
    }

    fn kind(self) -> StateKind {
        [StateKind::AppendList, StateKind::Value, StateKind::OrderedMap][usize::from(self.0 % 3)]
    }

    /// `opened` is called whenever an instance is.
    pub(crate) fn native(self, complaints: &Complaints, opened: impl Fn() + Send + Sync + 'static) -> Native {
        let (in_calls, in_rewriting) = (complaints.clone(), complaints.clone());
        let mut native = Native::new(&["in"], &["out"], move |_| {
            opened();
            let complaints = in_calls.clone();
            Ok(Box::new(move |_, events, state| complaints.note(self.counted(events, &mut **state))))
        });
        native.descriptor = count().descriptor;
        let state = &mut native.descriptor.states[0];
        (state.version, state.kind) = (u32::from(self.0), self.kind());
        if self != Self::FIRST {
            native.rewrite = Some(Arc::new(move |migration, page| in_rewriting.note(self.rewritten(migration, page))));
        }
        native
    }

    /// Emits `key=count` for each event, as every version does.
    fn counted(self, events: &EventBatch, state: &mut dyn StateBackend) -> Result<Outcome, String> {
        let mut results = Column::default();
        for row in 0..events.len() as u32 {
            let count = self.total(state, row)? + 1;
            self.count(state, row, count)?;
            let key = String::from_utf8_lossy(events.keys().bytes_of(row as usize)).into_owned();
            results.push(Some(format!("{key}={count}").as_bytes()));
        }
        Ok(emitted(0, Rows::Mapped { rows: (0..events.len() as u32).collect(), values: results }))
    }

    /// The sum of all that the key has.
    fn total(self, state: &mut dyn StateBackend, row: u32) -> Result<u64, String> {
        let values = match self.kind() {
            StateKind::Value | StateKind::Accumulator => state.get(COUNTS, &[row]).unwrap().values,
            StateKind::AppendList => state.list_scan(COUNTS, row, None, u32::MAX).unwrap().values,
            StateKind::OrderedMap => state.map_scan(COUNTS, row, b"", None, u32::MAX).unwrap().values,
        };
        values.iter().flatten().map(|value| self.number(value)).sum()
    }

    /// An event has come that makes it so many.
    fn count(self, state: &mut dyn StateBackend, row: u32, count: u64) -> Result<(), String> {
        match self.kind() {
            StateKind::Value | StateKind::Accumulator => state.put(COUNTS, &[row], &self.column(count)).unwrap(),
            StateKind::AppendList => state.list_append(COUNTS, &[row], &self.column(1)).unwrap(),
            StateKind::OrderedMap => {
                let name: Column = [Some((count % 3).to_string().as_bytes())].into_iter().collect();
                let there = state.map_get(COUNTS, &[row], &name).unwrap();
                let before = there.get(0).map_or(Ok(0), |value| self.number(value))?;
                state.map_put(COUNTS, &[row], &name, &self.column(before + 1)).unwrap();
            }
        }
        Ok(())
    }

    fn written(self, number: u64) -> String {
        format!("v{}:{number}", self.0)
    }

    fn column(self, number: u64) -> Column {
        [Some(self.written(number).as_bytes())].into_iter().collect()
    }

    fn number(self, value: &[u8]) -> Result<u64, String> {
        let text = std::str::from_utf8(value).unwrap();
        let number = text.strip_prefix(&format!("v{}:", self.0)).and_then(|number| number.parse().ok());
        number.ok_or_else(|| format!("{self:?} is to read `{text}`"))
    }

    fn rewritten(self, migration: Migration<'_>, page: &Entries) -> Result<Entries, String> {
        let (from, to) = (Self::numbered(migration.from_version), Self::numbered(migration.to_version));
        let knows = |before: Self, other: Self| other == self && before.successor() == self;
        let are_kinds = (migration.from_kind, migration.to_kind) == (from.kind(), to.kind());
        if !are_kinds || !(knows(from, to) || knows(to, from)) {
            return Err(format!("{self:?} is to rewrite {migration:?}"));
        }
        let mut totals = vec![0_u64; page.keys.len()];
        for (owner, value) in page.owners.iter().zip(page.values.iter()) {
            totals[*owner as usize] += from.number(value.unwrap())?;
        }
        let mut answer = Entries { keys: page.keys.clone(), ..Entries::default() };
        for (owner, total) in (0..).zip(totals) {
            to.write(owner, total, &mut answer);
        }
        Ok(answer)
    }

    /// In a list and in a map, a key's count is in two parts.
    fn write(self, owner: u32, total: u64, all: &mut Entries) {
        let parts = match self.kind() {
            StateKind::Value | StateKind::Accumulator => vec![total],
            StateKind::AppendList | StateKind::OrderedMap => vec![total - total / 2, total / 2],
        };
        for (name, part) in parts.into_iter().enumerate() {
            all.owners.push(owner);
            all.values.push(Some(self.written(part).as_bytes()));
            if self.kind() == StateKind::OrderedMap {
                all.map_keys.push(Some(name.to_string().as_bytes()));
            }
        }
    }
}
