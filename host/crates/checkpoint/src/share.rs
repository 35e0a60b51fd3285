//! The share of an operator's key groups that a second module serves, and which groups these are.
//!
//! A law of what manifests say: a share names the same groups for ever.

use std::fmt;

use gristmill_types::{KeyGroup, MaxParallelism, ModuleHash, NodeId};
use serde::{Deserialize, Serialize};

/// How much of an operator a module serves: 1 to 100 percent of the key groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Share(u8);

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self(100);

    /// In percent.
    #[must_use]
    pub fn percent(self) -> u32 {
        self.0.into()
    }

    /// Whether nothing is left for another module.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Self::WHOLE
    }

    /// The key groups of this share, at least one. A larger share has all groups of a smaller one, and any range of groups
    /// has about its part of them, so that every subtask does, whatever the parallelism.
    #[must_use]
    pub fn groups(self, max: MaxParallelism) -> ServedGroups {
        let all = max.get();
        let served = (all * self.percent()).div_ceil(100);
        let mut groups = vec![false; all as usize];
        spread(all).take(served as usize).for_each(|group| groups[group as usize] = true);
        ServedGroups(groups)
    }
}

/// All numbers below `all`, each as far as can be from those before it: the reversed bits of 0, 1, 2 and so on.
fn spread(all: u32) -> impl Iterator<Item = u32> {
    let bits = all.next_power_of_two().trailing_zeros();
    let reversed = move |number: u32| number.reverse_bits().checked_shr(u32::BITS - bits).unwrap_or(0);
    (0..all.next_power_of_two()).map(reversed).filter(move |number| *number < all)
}

impl TryFrom<u32> for Share {
    type Error = String;
    fn try_from(percent: u32) -> Result<Self, String> {
        match percent {
            1..=100 => Ok(Self(percent as u8)),
            _ => Err(format!("a share is 1 to 100 percent of the key groups, not {percent}")),
        }
    }
}

impl From<Share> for u32 {
    fn from(share: Share) -> Self {
        share.percent()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// The key groups of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedGroups(Vec<bool>);

impl ServedGroups {
    /// Whether a group is among them.
    #[inline]
    #[must_use]
    pub fn contains(&self, group: KeyGroup) -> bool {
        self.0.get(usize::from(group.0)).is_some_and(|served| *served)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|served| u32::from(*served)).sum()
    }
}

/// A second module that serves a share of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryRef {
    /// Which operator.
    pub node: NodeId,
    /// The second module.
    pub module: ModuleHash,
    /// How much it serves.
    pub share: Share,
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use gristmill_types::Parallelism;
    use proptest::prelude::*;

    use super::*;

    fn groups(percent: u32, all: u32) -> ServedGroups {
        Share::try_from(percent).unwrap().groups(MaxParallelism::try_from(all).unwrap())
    }

    fn listed(served: &ServedGroups) -> Vec<u16> {
        (0..served.0.len() as u16).filter(|group| served.contains(KeyGroup(*group))).collect()
    }

    #[test]
    fn golden_groups_of_a_share() {
        assert_eq!(listed(&groups(5, 128)), [0, 16, 32, 48, 64, 80, 96]);
        assert_eq!(listed(&groups(30, 10)), [0, 4, 8]);
        assert_eq!(listed(&groups(1, 1)), [0]);
    }

    #[test]
    fn a_share_is_one_to_a_hundred_percent() {
        for percent in [0, 101, u32::MAX] {
            assert!(Share::try_from(percent).unwrap_err().contains(&format!("not {percent}")));
        }
        assert_eq!(Share::try_from(100), Ok(Share::WHOLE));
    }

    proptest! {
        #[test]
        fn widening_only_adds_groups_up_to_all(all in 1u32..2_000, percent in 1u32..100) {
            let (less, more) = (groups(percent, all), groups(percent + 1, all));
            prop_assert_eq!(less.count(), (all * percent).div_ceil(100));
            prop_assert!(listed(&less).iter().all(|group| more.contains(KeyGroup(*group))));
            prop_assert_eq!(groups(100, all).count(), all);
        }

        #[test]
        fn every_subtask_has_its_part_of_a_share(all in 1u32..2_000, percent in 1u32..=100, subtasks in 1u32..=64) {
            prop_assume!(subtasks <= all);
            let (max, served) = (MaxParallelism::try_from(all).unwrap(), groups(percent, all));
            let parallelism = Parallelism(NonZeroU32::new(subtasks).unwrap());
            for subtask in parallelism.subtasks() {
                let owned = max.owned_by(subtask, parallelism).as_range();
                let part = owned.clone().filter(|group| served.contains(KeyGroup(*group))).count() as f64;
                let fair = owned.len() as f64 * f64::from(served.count()) / f64::from(all);
                // Half of a range is off by at most a group for each time that it can be halved.
                let most = f64::from(all.ilog2() + 1).max(1.0);
                prop_assert!((part - fair).abs() <= most && part <= 2.0 * fair + 1.0, "{part} of a fair {fair}");
                prop_assert!(part >= 1.0 || fair < 2.0, "none of a fair {fair}");
            }
        }
    }
}
