//! What stands in a file of state: changes of values, lists and maps, in one order.

use gristmill_types::KeyGroup;

/// When something was written while there was no event time yet: before the first watermark. It counts as written when
/// time began; as older than anything it would be gone with the first watermark.
pub(crate) const BEFORE_TIME: i64 = i64::MIN;

/// A value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    /// When it was written, in milliseconds by the clock of its state, if that state had a time to live.
    pub(crate) written: Option<i64>,
    pub(crate) bytes: &'a [u8],
}

/// What is done to the state of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    PutValue(Stored<'a>),
    DeleteValue,
    /// Nothing that an older file says of this list counts.
    ClearList,
    /// The item at this index. Indices are never used twice between two clears.
    Item(u64, Stored<'a>),
    /// Nothing that an older file says of this map counts.
    ClearMap,
    PutEntry(&'a [u8], Stored<'a>),
    DeleteEntry(&'a [u8]),
}

/// Where a change stands among those of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place<'a> {
    /// Values and clears.
    Head,
    Item(u64),
    Name(&'a [u8]),
}

impl<'a> Change<'a> {
    #[inline]
    pub(crate) fn place(&self) -> Place<'a> {
        match *self {
            Self::PutValue(_) | Self::DeleteValue | Self::ClearList | Self::ClearMap => Place::Head,
            Self::Item(index, _) => Place::Item(index),
            Self::PutEntry(name, _) | Self::DeleteEntry(name) => Place::Name(name),
        }
    }

    /// The value that is put, if one is.
    #[inline]
    pub(crate) fn stored(&self) -> Option<Stored<'a>> {
        match *self {
            Self::PutValue(stored) | Self::Item(_, stored) | Self::PutEntry(_, stored) => Some(stored),
            Self::DeleteValue | Self::ClearList | Self::ClearMap | Self::DeleteEntry(_) => None,
        }
    }
}

impl Change<'_> {
    /// Bytes of its name and its value.
    pub(crate) fn bytes(&self) -> usize {
        let name = match self.place() {
            Place::Name(name) => name.len(),
            Place::Head | Place::Item(_) => 0,
        };
        name + self.stored().map_or(0, |stored| stored.bytes.len())
    }

    /// The same, as if nobody had noted when it was written.
    pub(crate) fn without_time(mut self) -> Self {
        match &mut self {
            Self::PutValue(stored) | Self::Item(_, stored) | Self::PutEntry(_, stored) => stored.written = None,
            Self::DeleteValue | Self::ClearList | Self::ClearMap | Self::DeleteEntry(_) => {}
        }
        self
    }
}

/// A change and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The state's place among those of the writer.
    pub(crate) state: u32,
    pub(crate) group: KeyGroup,
    pub(crate) key: &'a [u8],
    /// The schema version under which it was written.
    pub(crate) version: u32,
    pub(crate) change: Change<'a>,
}

impl<'a> Entry<'a> {
    /// Whose state it is.
    #[inline]
    pub(crate) fn owner(&self) -> (u32, KeyGroup, &'a [u8]) {
        (self.state, self.group, self.key)
    }
}
