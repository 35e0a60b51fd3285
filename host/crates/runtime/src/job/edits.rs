//! Edits of state between their making and the checkpoint that has them.
//!
//! An edit is an ordinary change of its epoch, so the first checkpoint behind it has it: that one is asked for, and once it
//! is decided the edit lasts. If the attempt ends before, the checkpoint that the next one goes on from says whether it
//! ever happened.

use gristmill_types::CheckpointId;

use crate::state_access::OpenEdit;

/// Edits that no decided checkpoint is known to have.
#[derive(Debug, Default)]
pub(crate) struct OpenEdits(Vec<OpenEdit>);

impl OpenEdits {
    pub(crate) fn add(&mut self, edit: OpenEdit) {
        self.0.push(edit);
    }

    /// Whether a checkpoint is wanted for some.
    pub(crate) fn are_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// A checkpoint of the attempt that made them is decided.
    pub(crate) fn decided(&mut self, checkpoint: CheckpointId) {
        for edit in self.0.extract_if(.., |edit| edit.after < checkpoint) {
            fail::fail_point!("state-edit-decided");
            edit.say(Ok(checkpoint));
        }
    }

    /// Their attempt is over: they wait for what follows.
    pub(crate) fn hand_over(&mut self, ended: Self) {
        self.0.extend(ended.0);
    }

    /// The job goes on from this checkpoint, or from its beginning; no attempt lies between it and the edits.
    pub(crate) fn settle(&mut self, restored: Option<CheckpointId>) {
        let restored = restored.unwrap_or(CheckpointId(0));
        self.decided(restored);
        for edit in self.0.drain(..) {
            edit.say(Err(format!(
                "the job went back to checkpoint {restored} before another one was decided: the edit never happened"
            )));
        }
    }

    /// Nothing of the job runs any more in this process; its newest decided checkpoint is this.
    pub(crate) fn close(&mut self, newest: Option<CheckpointId>) {
        self.decided(newest.unwrap_or(CheckpointId(0)));
        for edit in self.0.drain(..) {
            let after = edit.after;
            edit.say(Err(format!(
                "nothing of the job runs any more, and no checkpoint above {after} is known to be decided: the edit lasts \
                 only if the job goes on from one"
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    type Heard = oneshot::Receiver<Result<CheckpointId, String>>;

    fn made(edits: &mut OpenEdits, after: u64) -> Heard {
        let (tell, heard) = oneshot::channel();
        edits.add(OpenEdit { after: CheckpointId(after), tell });
        heard
    }

    #[test]
    fn an_edit_lasts_with_the_first_checkpoint_behind_it() {
        let mut edits = OpenEdits::default();
        let (mut early, mut late) = (made(&mut edits, 3), made(&mut edits, 4));
        edits.decided(CheckpointId(3));
        assert!(early.try_recv().is_err(), "its barrier had passed before the edit");
        edits.decided(CheckpointId(4));
        assert_eq!(early.try_recv(), Ok(Ok(CheckpointId(4))));
        assert!(late.try_recv().is_err());
        assert!(edits.are_there());
        edits.decided(CheckpointId(6));
        assert_eq!(late.try_recv(), Ok(Ok(CheckpointId(6))));
        assert!(!edits.are_there());
    }

    #[test]
    fn the_checkpoint_that_is_gone_on_from_says_whether_an_edit_happened() {
        let mut edits = OpenEdits::default();
        let mut ended = OpenEdits::default();
        let (mut stored, mut lost) = (made(&mut ended, 4), made(&mut ended, 5));
        edits.hand_over(ended);
        edits.settle(Some(CheckpointId(5)));
        assert_eq!(stored.try_recv(), Ok(Ok(CheckpointId(5))));
        let why = lost.try_recv().unwrap().unwrap_err();
        assert!(why.contains("went back to checkpoint 5") && why.contains("never happened"), "{why}");

        let mut first = made(&mut edits, 0);
        edits.settle(None);
        assert!(first.try_recv().unwrap().is_err(), "the beginning has no edit");
        let mut open = made(&mut edits, 7);
        edits.close(Some(CheckpointId(7)));
        assert!(open.try_recv().unwrap().unwrap_err().contains("no checkpoint above 7"));
    }
}
