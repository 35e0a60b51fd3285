//! Migrations in a test: what an older version would have stored goes through the author's functions, as a host would
//! have it.

use super::Harness;
use crate::bindings::gristmill::operator::types::{Column, StateKind};
use crate::failure::Failure;
use crate::host::Store;
use crate::migration::{Asked, Entries, Migrate};
use crate::operator::Operator;
use crate::state::{Kept, Run, Written, empty_page};

impl<O: Operator + Migrate> Harness<O> {
    /// Takes over what version `from` of the state has for a key: from now on the key has what the author's migration
    /// makes of it, and nothing else. `Old` is what stands in `was = …`.
    ///
    /// ```text
    /// words.migrate::<Value<u64>>("count", 1, "to", &3)?;
    /// words.migrate::<List<String>>("latest", 1, "to", &vec!["be".to_owned()])?;
    /// words.migrate::<Map<String, u64>>("by_day", 1, "to", &vec![("mon".to_owned(), 3)])?;
    /// ```
    ///
    /// # Errors
    /// The author's; or [`Failure::Fatal`] if there is no such migration, or it takes another type.
    ///
    /// # Panics
    /// If there is no such state.
    pub fn migrate<Old: Kept>(
        &mut self,
        state: &str,
        from: u32,
        key: impl AsRef<[u8]>,
        old: &Old::Content,
    ) -> Result<(), Failure> {
        let index = self.state_index(state);
        let to_version = self.descriptor.states[index as usize].version;
        let mut page = page_of(key.as_ref());
        Old::write(old, &mut Written { page: &mut page, owner: 0, state })?;
        let asked = Asked { state, from_version: from, from_kind: Old::KIND, to_version };
        let entries = O::migrate(asked, page)?;
        self.call.state_generation += 1;
        keep(&mut self.stage.store, index, self.descriptor.states[index as usize].kind, key.as_ref(), &entries);
        Ok(())
    }

    /// What the way back `to` an older version makes of what the state holds for a key. The state stays as it is.
    ///
    /// # Errors
    /// The author's; or [`Failure::Fatal`] if there is no such way, or it leads to another type.
    ///
    /// # Panics
    /// If there is no such state.
    pub fn migrate_back<Old: Kept>(
        &self,
        state: &str,
        to: u32,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Old::Content>, Failure> {
        let index = self.state_index(state);
        let spec = &self.descriptor.states[index as usize];
        let asked = Asked { state, from_version: spec.version, from_kind: spec.kind, to_version: to };
        let page = kept(&self.stage.store, index, spec.kind, key.as_ref());
        let old = O::migrate(asked, page)?;
        Old::read(Run { page: &old, rows: 0..old.owners.len() })
    }
}

/// A page of one key, without entries.
fn page_of(key: &[u8]) -> Entries {
    empty_page(Column::from_iter([Some(key)]))
}

/// Puts the entries of the only key of a page in the place of what there was.
fn keep(store: &mut Store, state: u32, kind: StateKind, key: &[u8], entries: &Entries) {
    store.forget(state, key);
    for (row, value) in entries.values.iter().enumerate() {
        match kind {
            StateKind::Value | StateKind::Accumulator => store.put(state, key, value),
            StateKind::AppendList => store.append(state, key, value.expect("an item is never null")),
            StateKind::OrderedMap => store.map_put(state, key, entries.map_keys.bytes(row), value),
        }
    }
}

/// All that the state holds for a key.
fn kept(store: &Store, state: u32, kind: StateKind, key: &[u8]) -> Entries {
    let mut page = page_of(key);
    match kind {
        StateKind::Value | StateKind::Accumulator => {
            page.values = store.get(state, key).map(Some).into_iter().collect()
        }
        StateKind::AppendList => page.values = store.list(state, key).iter().map(|item| Some(&item[..])).collect(),
        StateKind::OrderedMap => {
            page.map_keys = store.map(state, key).map(|(map_key, _)| Some(map_key)).collect();
            page.values = store.map(state, key).map(|(_, value)| Some(value)).collect();
        }
    }
    page.owners = vec![0; page.values.len()];
    page
}
