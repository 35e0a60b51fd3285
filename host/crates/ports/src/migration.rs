//! Rewriting state that another version of a module has written.

use gristmill_types::CallFailure;
use gristmill_types::Column;
use gristmill_types::descriptor::StateKind;

/// Entries of one state. A key's entries all stand in one page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// The keys that own entries, each once.
    pub keys: Column,
    /// `owners[i]` is the place in `keys` of the owner of entry `i`; ascending.
    pub owners: Vec<u32>,
    /// Of a map: the name of each entry. Empty for other kinds.
    pub map_keys: Column,
    /// The value of each entry; null in an answer deletes.
    pub values: Column,
}

/// Which state, and how it is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration<'a> {
    /// The state's name.
    pub state: &'a str,
    /// The schema version of the entries.
    pub from_version: u32,
    /// The kind of state that they come from.
    pub from_kind: StateKind,
    /// The schema version that they are to have; higher than `from_version`, or lower for a way back.
    pub to_version: u32,
    /// The kind of state that they are to belong to.
    pub to_kind: StateKind,
}

/// An instance of a module that rewrites entries, and does nothing else: it never sees an event, and never runs inside a
/// call of the operator. The same entries give the same answer.
pub trait Migrator: Send {
    /// Rewrites a page. The answer has the same keys; a key without entries in it has no state any more.
    ///
    /// The answer is checked: keys are those that were given, owners ascend, columns are even, values of lists are not null.
    ///
    /// # Errors
    /// How the call failed. After [`CallFailure::Fault`] the next call finds a fresh instance.
    fn migrate(&mut self, migration: Migration<'_>, page: &Entries) -> Result<Entries, CallFailure>;
}
