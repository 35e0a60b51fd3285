//! Which entries changed since the last freeze, and what they were at the freeze.
//!
//! Two logs of changed entries: the *active* one, and the *frozen* one while it is being drained. To freeze is to swap
//! the two; nothing is copied. An entry that is written while it still stands undrained in the frozen log first leaves
//! a copy of its content there. See `docs/design/0002-freeze-by-slices.md`.
//!
//! Knows nothing of what entries are: `U` names one, `S` is its content.

use std::num::NonZeroU32;

use crate::directory::Standing;
use crate::paged::Paged;

/// Which of the two logs is meant. They swap their parts at each freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Side {
    #[default]
    Left,
    Right,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// Which of the two logs is meant, whichever side it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    Active,
    Frozen,
}

/// What every entry of a table carries, in eight bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Life {
    /// Its place in the log that it stands in; of a clean entry, the [`Batch`] in which the cold store got it.
    at: u32,
    /// The log that it stands in, if it changed.
    log: Option<Side>,
    /// Whether it can be read; a deleted entry stays as a tombstone while it is logged, or the cold store may have it.
    pub(crate) present: bool,
    /// Whether the snapshots so far, the frozen one included, have it. Its deletion then must be told.
    captured: bool,
    /// Whether the cold store may have it, whatever it was then. Its deletion then must stay until the cold store knows.
    cold: bool,
}

/// What was handed to the cold store at a time, counted from one; zero for what came from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Batch(pub(crate) u32);

/// No batch had it.
const IN_NO_BATCH: u32 = u32::MAX;

/// An entry that a snapshot has as it is.
pub(crate) const RESTORED: Life = Life { at: IN_NO_BATCH, log: None, present: true, captured: true, cold: false };

/// An entry that the cold store has as it is.
pub(crate) const LOADED: Life = Life { at: 0, log: None, present: true, captured: true, cold: true };

/// How an entry is restored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restoring {
    /// The next snapshot tells it again.
    pub(crate) anew: bool,
    /// Another entry of the same key was restored before it.
    pub(crate) begun: bool,
}

/// What becomes of an entry for which memory is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// It must stay: it changed, or the cold store is about to take it in.
    Stay,
    /// The cold store has to take it in first.
    TakeIn,
    /// The cold store has it as it is.
    Drop,
}

impl Life {
    /// Whether the entry must be kept: to be read, or as a tombstone.
    #[inline]
    pub(crate) fn is_occupied(self) -> bool {
        self.present || self.log.is_some() || self.cold
    }

    /// What the directory of keys wants to know of it.
    pub(crate) fn standing(self) -> Standing {
        Standing { is_occupied: self.is_occupied(), is_present: self.present }
    }

    /// What can be done if it is in the way, the cold store having taken in all batches up to this one.
    pub(crate) fn eviction(self, taken_in: Batch) -> Eviction {
        match (self.log, self.at) {
            (Some(_), _) => Eviction::Stay,
            (None, IN_NO_BATCH) => Eviction::TakeIn,
            (None, batch) if Batch(batch) <= taken_in => Eviction::Drop,
            (None, _) => Eviction::Stay,
        }
    }

    /// The cold store gets it with this batch.
    pub(crate) fn handed_over(&mut self, batch: Batch) {
        self.at = batch.0;
        self.cold = true;
    }

    /// Whatever the cold store has of it is void.
    pub(crate) fn voids_cold(self) -> bool {
        self.cold
    }

    /// Makes whatever the cold store has of it void.
    pub(crate) fn void_cold(&mut self) {
        self.cold = true;
    }

    /// Whether it changed, and no drain has told it yet.
    pub(crate) fn is_logged(self) -> bool {
        self.log.is_some()
    }

    /// Whether it can be made less without telling anybody, batches up to this one having been handed over: it must
    /// not be changed while it stands in the batch being gathered, where it is at most once.
    pub(crate) fn can_shrink(self, handed_over: Batch) -> bool {
        self.log.is_some() || self.at == IN_NO_BATCH || Batch(self.at) <= handed_over
    }

    /// It was made less: what the cold store has of it is not what it is, which nobody else need be told.
    pub(crate) fn shrunk(&mut self) {
        if self.log.is_none() {
            self.at = IN_NO_BATCH;
        }
    }

    /// Whether a snapshot has it, or the cold store may, so that its deletion must be told.
    pub(crate) fn is_known_elsewhere(self) -> bool {
        self.captured || self.cold
    }
}

/// Where the copy of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopyAt(NonZeroU32);

impl CopyAt {
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Debug)]
struct Change<U> {
    entry: U,
    copy: Option<CopyAt>,
}

/// The changed entries of one table.
#[derive(Debug)]
pub(crate) struct Changes<U, S> {
    active_side: Side,
    active: Paged<Change<U>>,
    frozen: Paged<Change<U>>,
    copies: Paged<Option<S>>,
}

impl<U, S> Default for Changes<U, S> {
    fn default() -> Self {
        Self {
            active_side: Side::default(),
            active: Paged::default(),
            frozen: Paged::default(),
            copies: Paged::default(),
        }
    }
}

impl<U: Clone, S> Changes<U, S> {
    /// An entry is about to be written. If the frozen generation still needs what it is now, `content` is asked for it
    /// and kept; the answer says where.
    #[inline]
    pub(crate) fn touch(
        &mut self,
        life: &mut Life,
        entry: impl FnOnce() -> U,
        content: impl FnOnce() -> S,
    ) -> Option<CopyAt> {
        let copy = match life.log {
            Some(side) if side == self.active_side => return None,
            Some(_frozen) => {
                self.copies.push(Some(content()));
                let copy = CopyAt(NonZeroU32::new(index_u32(self.copies.len())).expect("one was just pushed"));
                self.frozen[life.at as usize].copy = Some(copy);
                life.captured = life.present;
                Some(copy)
            }
            None => None,
        };
        life.log = Some(self.active_side);
        life.at = index_u32(self.active.len());
        self.active.push(Change { entry: entry(), copy: None });
        copy
    }

    /// The life of an entry that is there from the beginning, and that no snapshot has as it is: the next one tells it.
    pub(crate) fn begin(&mut self, entry: U) -> Life {
        let at = index_u32(self.active.len());
        self.active.push(Change { entry, copy: None });
        Life { at, log: Some(self.active_side), present: true, captured: false, cold: false }
    }

    /// An entry was written and is gone again. If no snapshot ever had it, its deletion need not be told: it is taken
    /// out of the log, so that what comes and goes between two freezes costs nothing. Another entry may then stand in
    /// its place of the log: the caller tells that one by [`Life::moved_to`].
    ///
    /// Not if the cold store may have it: only a drain makes such an entry clean, and there is one at most between two
    /// freezes. So it leaves memory at most once with a batch.
    pub(crate) fn retract_if_never_captured(&mut self, life: &mut Life) -> Option<(U, LogPlace)> {
        if life.present || life.captured || life.cold { None } else { self.retract(life) }
    }

    /// Takes an entry out of the active log, if it stands there: something else tells of its deletion.
    pub(crate) fn retract(&mut self, life: &mut Life) -> Option<(U, LogPlace)> {
        if life.log != Some(self.active_side) {
            return None;
        }
        let at = std::mem::replace(&mut life.at, IN_NO_BATCH);
        life.log = None;
        self.active.swap_remove(at as usize);
        self.active.get(at as usize).map(|moved| (moved.entry.clone(), LogPlace(at)))
    }

    /// Whether the frozen generation still needs what an entry is now.
    pub(crate) fn is_frozen(&self, life: Life) -> bool {
        life.log.is_some_and(|side| side != self.active_side)
    }

    /// Bytes of both logs.
    pub(crate) fn bytes(&self) -> usize {
        (self.active.len() + self.frozen.len()) * size_of::<Change<U>>() + self.copies.len() * size_of::<Option<S>>()
    }

    /// Whether nothing of the frozen generation is left.
    pub(crate) fn is_drained(&self) -> bool {
        self.frozen.is_empty()
    }

    /// Makes the active generation the frozen one.
    ///
    /// # Panics
    /// If the one before is not drained.
    pub(crate) fn freeze(&mut self) {
        assert!(self.is_drained(), "one frozen generation at a time");
        std::mem::swap(&mut self.active, &mut self.frozen);
        self.active_side = self.active_side.other();
    }

    /// Takes a change out of a log. A frozen one comes with the copy that was left for it; without one, the entry is as
    /// it was at the freeze, and the caller says [`Life::drained`] to it.
    pub(crate) fn pop(&mut self, log: Log) -> Option<(U, Option<S>)> {
        let change = match log {
            Log::Active => return self.active.pop().map(|change| (change.entry, None)),
            Log::Frozen => self.frozen.pop()?,
        };
        let content = change.copy.map(|copy| self.copies[copy.index()].take().expect("a copy is used once"));
        if self.frozen.is_empty() {
            self.copies.clear();
        }
        Some((change.entry, content))
    }

    /// A copy left by [`Self::touch`], while it is not drained.
    pub(crate) fn copy_mut(&mut self, copy: CopyAt) -> &mut S {
        self.copies[copy.index()].as_mut().expect("the copy is not drained yet")
    }
}

/// A place in the active log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogPlace(u32);

impl Life {
    /// The entry stands in another place of the same log now.
    pub(crate) fn moved_to(&mut self, place: LogPlace) {
        self.at = place.0;
    }

    /// The entry was handed out as it is.
    pub(crate) fn drained(&mut self) {
        self.at = IN_NO_BATCH;
        self.log = None;
        self.captured = self.present;
    }
}

#[inline]
fn index_u32(length: usize) -> u32 {
    u32::try_from(length).expect("four thousand million changed entries do not fit in memory")
}
