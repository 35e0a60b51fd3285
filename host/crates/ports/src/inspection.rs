//! State as people read and write it: a module's own words for what it has stored.

use gristmill_types::CallFailure;

/// Which state, and in which schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected<'a> {
    /// The state's name.
    pub state: &'a str,
    /// The schema version of its entries.
    pub version: u32,
}

/// An entry as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredEntry {
    /// Of a map: the entry's name.
    pub name: Option<Vec<u8>>,
    /// Its value; `None` where only a name is meant.
    pub value: Option<Vec<u8>>,
}

/// An entry as people see it: JSON texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownEntry {
    /// Of a map: the entry's name.
    pub name: Option<String>,
    /// Its value; `None` where only a name is meant.
    pub value: Option<String>,
}

/// An instance of a module that turns entries into JSON and back, and does nothing else: it never sees an event, and never
/// runs inside a call of the operator.
pub trait Inspector: Send {
    /// An entry as JSON. What comes back has what went in: a name if there was one, and a value.
    ///
    /// # Errors
    /// How the call failed; [`CallFailure::BadRecord`] if these bytes are none of this state.
    fn render(&mut self, of: Inspected<'_>, entry: &StoredEntry) -> Result<ShownEntry, CallFailure>;

    /// The bytes of an entry that is given as JSON. What comes back has what went in.
    ///
    /// # Errors
    /// How the call failed; [`CallFailure::BadRecord`] if this JSON is no entry of this state.
    fn parse(&mut self, of: Inspected<'_>, entry: &ShownEntry) -> Result<StoredEntry, CallFailure>;
}
