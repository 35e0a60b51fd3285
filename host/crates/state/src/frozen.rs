//! A frozen generation on its way to storage: written on the storer's thread.

use std::sync::Arc;

use gristmill_checkpoint::StateFile;
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::state::FrozenState;
use gristmill_ports::{FileStore, PortError};

use crate::ahead::{Ahead, Written};
use crate::gathered::Gathered;
use crate::ordered::{Ordered, WriterStates};

/// A frozen generation that is all gathered; each part changes what the parts before it say.
pub(crate) struct Generation {
    ahead: Option<Ahead>,
    /// What came of `ahead`, once somebody waited for it.
    written: Written,
    last: Gathered,
    states: Arc<WriterStates>,
    /// Parts that are stored already: a store that fails and is tried again goes on behind them.
    stored: Vec<Option<StateFile>>,
}

impl Generation {
    /// What was drained ahead of the freeze, and what was drained after it.
    pub(crate) fn new(ahead: Ahead, last: Gathered, states: Arc<WriterStates>) -> Self {
        Self { ahead: Some(ahead), written: Written::default(), last, states, stored: Vec::new() }
    }
}

impl FrozenState for Generation {
    fn store(&mut self, files: &dyn FileStore) -> Result<Vec<StateFile>, PortError> {
        if let Some(ahead) = self.ahead.take() {
            self.written = ahead.end()?;
        }
        let Written { files: written, parts, .. } = &self.written;
        for file in written.iter().skip(self.stored.len()) {
            let path = self.written.path_of(file);
            self.stored.push(Some(StateFile { file: files.put(Content::File(&path))?, ..*file }));
        }
        let in_memory = parts.iter().chain([&self.last]);
        for part in in_memory.skip(self.stored.len() - written.len()) {
            self.stored.push(Ordered { gathered: part, states: &self.states }.store(files)?);
        }
        Ok(self.stored.iter().flatten().copied().collect())
    }

    fn entries(&self) -> u64 {
        if let Some(ahead) = &self.ahead {
            return ahead.entries() + self.last.entries();
        }
        self.stored.iter().flatten().map(|file| file.entries).sum()
    }
}
