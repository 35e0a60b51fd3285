//! What files of state hold, for whoever looks at them from outside.

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::{EntryPlace, StateEntries, StateEntry, StateReader};
use gristmill_ports::{FileStore, PortError};
use gristmill_types::KeyGroupRange;

use super::entry::{Entry, Place};
use super::merge::Merged;

/// Reads files of state entry by entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct EntryReader;

impl StateReader for EntryReader {
    fn entries(&self, list: &[StateFile], files: &dyn FileStore) -> Result<StateEntries, PortError> {
        let all = KeyGroupRange { start: 0, end: u16::MAX };
        Ok(Box::new(Entries(Some(Merged::open(list, all, Vec::new(), true, files)?))))
    }
}

/// Nothing behind an error.
struct Entries(Option<Merged>);

impl Iterator for Entries {
    type Item = Result<StateEntry, PortError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.as_mut()?.advance() {
            Ok(true) => self.0.as_ref()?.entry().map(|entry| Ok(owned(&entry))),
            Ok(false) => {
                self.0 = None;
                None
            }
            Err(error) => {
                self.0 = None;
                Some(Err(error))
            }
        }
    }
}

fn owned(entry: &Entry<'_>) -> StateEntry {
    let place = match entry.change.place() {
        Place::Head => EntryPlace::Value,
        Place::Item(index) => EntryPlace::Item(index),
        Place::Name(name) => EntryPlace::Name(name.to_vec()),
    };
    let value = entry.change.stored().map(|stored| stored.bytes.to_vec()).unwrap_or_default();
    StateEntry { state: entry.state, group: entry.group, key: entry.key.to_vec(), place, value }
}
