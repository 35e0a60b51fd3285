//! What the hot tables do not hold.
//!
//! The tables hold all state until memory is short. Then what is clean and not used is handed over to a cold store, in
//! batches, and forgotten when the store has taken it in. The store is a part of memory, no more: what stands there
//! was drained into a checkpoint before, and an attempt begins with an empty one.

use std::path::Path;

use gristmill_ports::state::{StateError, StateTime};
use gristmill_types::StateIndex;

use crate::changes::Batch;
use crate::gathered::Gathered;

/// Whose entry: the key, and of a map the name.
pub(crate) type Name<'n> = (&'n [u8], Option<&'n [u8]>);

/// An entry of a map: its name, and what is stored.
pub(crate) type ColdEntry = (Vec<u8>, Vec<u8>);

/// What the tables may take, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Below this nothing has to leave.
    pub(crate) comfortable: usize,
    /// Above this a commit waits until there is room.
    pub(crate) most: usize,
    /// What is handed over at a time.
    pub(crate) batch: usize,
}

impl Budget {
    /// The tables take at most so many bytes.
    pub(crate) fn of(most: usize) -> Self {
        Self { comfortable: most - most / 8, most, batch: (most / 32).clamp(1 << 12, 16 << 20) }
    }
}

/// A store for what memory does not hold.
///
/// # Errors
/// Every function that fails: [`StateError::Backend`]; the state is then lost to this attempt.
pub(crate) trait Cold: Send {
    /// What the tables may take.
    fn budget(&self) -> Budget;

    /// Whether nothing was ever handed over, so that nothing need be looked up.
    fn is_empty(&self) -> bool;

    /// What stands in a state under these names, in their order.
    fn get(&self, state: StateIndex, names: &[Name<'_>]) -> Result<Vec<Option<Vec<u8>>>, StateError>;

    /// The entries of the map of `owner`, ascending, from this name on.
    fn range<'c>(
        &'c self,
        state: StateIndex,
        owner: &[u8],
        from: &[u8],
    ) -> Box<dyn Iterator<Item = Result<ColdEntry, StateError>> + 'c>;

    /// Hands a batch over, which is taken in behind this call. Batches are counted from one.
    fn hand_over(&mut self, batch: Gathered) -> Result<(), StateError>;

    /// The newest batch that is taken in, all before it being so too. If `wait`, and one is under way, waits for it.
    fn taken_in(&mut self, wait: bool) -> Result<Batch, StateError>;

    /// What time it is: what has expired need not be kept.
    fn set_time(&mut self, time: StateTime);

    /// A folder of this store's own, for files that are under way.
    fn scratch(&self) -> Option<&Path>;
}

/// The cold store of a backend that holds everything in memory. All that asks for it is compiled away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Cold for Nothing {
    #[inline(always)]
    fn budget(&self) -> Budget {
        Budget::of(usize::MAX)
    }

    #[inline(always)]
    fn is_empty(&self) -> bool {
        true
    }

    fn get(&self, _: StateIndex, names: &[Name<'_>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        Ok(vec![None; names.len()])
    }

    fn range<'c>(
        &'c self,
        _: StateIndex,
        _: &[u8],
        _: &[u8],
    ) -> Box<dyn Iterator<Item = Result<ColdEntry, StateError>> + 'c> {
        Box::new(std::iter::empty())
    }

    fn hand_over(&mut self, _: Gathered) -> Result<(), StateError> {
        Ok(())
    }

    fn taken_in(&mut self, _: bool) -> Result<Batch, StateError> {
        Ok(Batch(0))
    }

    fn set_time(&mut self, _: StateTime) {}

    fn scratch(&self) -> Option<&Path> {
        None
    }
}
