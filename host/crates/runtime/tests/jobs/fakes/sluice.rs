//! A reader of state that lets so many entries pass and then none, until a test opens it.

use std::sync::{Arc, Condvar, Mutex};

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::{StateEntries, StateReader};
use gristmill_ports::{FileStore, PortError};

use super::state::NaiveReader;

/// See the module. A clone is the same sluice; at first it is open.
#[derive(Clone, Default)]
pub(crate) struct Sluice(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Entries that may still pass; all, if there is no number.
    left: Mutex<Option<u64>>,
    moved: Condvar,
}

impl Sluice {
    /// So many pass from now on.
    pub(crate) fn lets(&self, entries: u64) {
        self.set(Some(entries));
    }

    pub(crate) fn open(&self) {
        self.set(None);
    }

    fn set(&self, left: Option<u64>) {
        *self.0.left.lock().unwrap() = left;
        self.0.moved.notify_all();
    }

    fn pass(&self) {
        let mut left = self.0.moved.wait_while(self.0.left.lock().unwrap(), |left| *left == Some(0)).unwrap();
        *left = left.map(|left| left - 1);
    }
}

impl StateReader for Sluice {
    fn entries(&self, list: &[StateFile], files: &dyn FileStore) -> Result<StateEntries, PortError> {
        let (sluice, entries) = (self.clone(), NaiveReader.entries(list, files)?);
        Ok(Box::new(entries.inspect(move |_| sluice.pass())))
    }
}
