//! Which subtask owns a key: key → key group → subtask.
//!
//! A key group is the unit of ownership and of rescaling. The hash and both formulas are a law of the storage format:
//! state written under them must be found under them for ever. `golden_key_groups` fails if they change.

use std::num::NonZeroU32;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::id::SubtaskIndex;

/// XXH3 (64 bit, seed 0) of the key's bytes.
#[inline]
#[must_use]
pub fn key_hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// How many subtasks a task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parallelism(pub NonZeroU32);

impl Parallelism {
    /// One subtask.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// The number as a `u32`.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// All subtasks in order.
    pub fn subtasks(self) -> impl Iterator<Item = SubtaskIndex> {
        (0..self.get()).map(SubtaskIndex)
    }
}

/// How many key groups a job has: 1 to 32 768, fixed for the life of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct MaxParallelism(u16);

impl MaxParallelism {
    /// 128 key groups.
    pub const DEFAULT: Self = Self(128);

    /// The number as a `u32`.
    #[must_use]
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }

    /// The key group of a key with this hash.
    #[inline]
    #[must_use]
    pub fn group_of(self, key_hash: u64) -> KeyGroup {
        KeyGroup((key_hash % u64::from(self.0)) as u16)
    }

    /// The subtask that owns a key group: `group * parallelism / max_parallelism`.
    #[inline]
    #[must_use]
    pub fn owner_of(self, group: KeyGroup, parallelism: Parallelism) -> SubtaskIndex {
        SubtaskIndex(u32::from(group.0) * parallelism.get() / u32::from(self.0))
    }

    /// The key groups that a subtask owns: the inverse of [`Self::owner_of`].
    #[must_use]
    pub fn owned_by(self, subtask: SubtaskIndex, parallelism: Parallelism) -> KeyGroupRange {
        let first = |subtask: u32| (subtask * self.get()).div_ceil(parallelism.get()) as u16;
        KeyGroupRange { start: first(subtask.0), end: first(subtask.0 + 1) }
    }
}

impl TryFrom<u32> for MaxParallelism {
    type Error = String;
    fn try_from(groups: u32) -> Result<Self, String> {
        match groups {
            1..=32_768 => Ok(Self(groups as u16)),
            _ => Err(format!("max_parallelism is {groups}, but must be 1 to 32768")),
        }
    }
}

impl From<MaxParallelism> for u32 {
    fn from(max: MaxParallelism) -> Self {
        max.get()
    }
}

/// One unit of key ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyGroup(pub u16);

/// Key groups `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyGroupRange {
    /// First group of the range.
    pub start: u16,
    /// First group after the range.
    pub end: u16,
}

impl KeyGroupRange {
    /// Whether the group lies in the range.
    #[inline]
    #[must_use]
    pub fn contains(self, group: KeyGroup) -> bool {
        self.as_range().contains(&group.0)
    }

    /// The groups as a plain range.
    #[must_use]
    pub fn as_range(self) -> Range<u16> {
        self.start..self.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_key_groups() {
        for (key, hash, group) in [("", 0x2d06_8005_38d3_94c2, 66), ("a", 0xe6c6_32b6_1e96_4e1f, 31)] {
            assert_eq!(key_hash(key.as_bytes()), hash, "hash of {key:?}");
            assert_eq!(MaxParallelism::DEFAULT.group_of(hash), KeyGroup(group));
        }
    }

    proptest! {
        #[test]
        fn every_group_is_owned_by_exactly_one_subtask(groups in 1u32..=32_768, subtasks in 1u32..=64) {
            prop_assume!(subtasks <= groups);
            let max = MaxParallelism::try_from(groups).expect("in range");
            let parallelism = Parallelism(NonZeroU32::new(subtasks).expect("not zero"));
            let mut next = 0;
            for subtask in parallelism.subtasks() {
                let owned = max.owned_by(subtask, parallelism);
                prop_assert_eq!(owned.start, next);
                for group in owned.as_range() {
                    prop_assert_eq!(max.owner_of(KeyGroup(group), parallelism), subtask);
                }
                next = owned.end;
            }
            prop_assert_eq!(u32::from(next), groups);
        }
    }
}
