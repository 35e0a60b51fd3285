//! A manifest that somebody waits for: the first one made of a checkpoint whose barrier went out since. What was so before
//! that barrier is in its files.

use gristmill_types::CheckpointId;

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Awaited {
    since: Option<CheckpointId>,
    by: Option<CheckpointId>,
}

impl Awaited {
    /// The barrier of a checkpoint is out.
    pub fn began(&mut self, checkpoint: CheckpointId) {
        self.since.get_or_insert(checkpoint);
    }

    /// Its manifest is made, and cannot be taken back any more.
    pub fn storing(&mut self, checkpoint: CheckpointId) {
        if self.since.is_some_and(|since| since <= checkpoint) {
            self.by.get_or_insert(checkpoint);
        }
    }

    /// It is decided: whether it is the one.
    #[must_use]
    pub fn is_met_by(&self, decided: CheckpointId) -> bool {
        self.by == Some(decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_whose_barrier_was_out_before_is_not_the_one() {
        let mut awaited = Awaited::default();
        awaited.storing(CheckpointId(1));
        assert!(!awaited.is_met_by(CheckpointId(1)));
        awaited.began(CheckpointId(2));
        awaited.began(CheckpointId(3));
        awaited.storing(CheckpointId(3));
        awaited.storing(CheckpointId(4));
        let met = [1, 2, 3, 4].map(|checkpoint| awaited.is_met_by(CheckpointId(checkpoint)));
        assert_eq!(met, [false, false, true, false]);
    }
}
