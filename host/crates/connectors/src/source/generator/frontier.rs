//! Which events were made before, when the number of subtasks has changed since.
//!
//! Subtask `s` of `n` had made its events below some number. Other subtasks go on with other shares: they leave out what
//! such a frontier says was made. Behind its last number there is none any more, and events come in bulk again.

use gristmill_checkpoint::SplitPosition;
use gristmill_ports::PortError;
use gristmill_types::{NodeId, Parallelism, SubtaskIndex};

use crate::source::position::{PositionReader, PositionWriter, read_position};

const VERSION: u8 = 1;

/// The next event of each of some subtasks; what of their shares lies below was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frontier {
    next: Vec<u64>,
}

/// Where one subtask stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The number of its next event.
    pub(super) next: u64,
    /// Left by other numbers of subtasks.
    pub(super) earlier: Vec<Frontier>,
}

impl Frontier {
    fn has_made(&self, event: u64) -> bool {
        event < self.next[(event % self.next.len() as u64) as usize]
    }

    fn end(&self) -> u64 {
        self.next.iter().copied().max().unwrap_or(0)
    }
}

impl Progress {
    /// Where a subtask stands that begins with the first of its events from number `first` on.
    pub(super) fn begin(first: u64, subtask: SubtaskIndex, of: Parallelism) -> Self {
        let (subtask, of) = (u64::from(subtask.0), u64::from(of.get()));
        let ahead = (subtask + of - first % of) % of;
        Self { next: first.saturating_add(ahead), earlier: Vec::new() }
    }

    /// Moves on to the next event of this subtask that was not made before. Stops at the last number there is.
    pub(super) fn advance(&mut self, step: u64) {
        self.next = self.next.saturating_add(step);
        if !self.earlier.is_empty() {
            self.leave_out(step);
        }
    }

    fn leave_out(&mut self, step: u64) {
        while self.next != u64::MAX && self.earlier.iter().any(|frontier| frontier.has_made(self.next)) {
            self.next = self.next.saturating_add(step);
        }
        self.earlier.retain(|frontier| self.next < frontier.end());
    }

    pub(super) fn encode(&self, subtask: SubtaskIndex, of: Parallelism) -> SplitPosition {
        let mut writer = PositionWriter::new(VERSION).u64(self.next).u32(self.earlier.len() as u32);
        for frontier in &self.earlier {
            writer = writer.u32(frontier.next.len() as u32);
            writer = frontier.next.iter().fold(writer, |writer, next| writer.u64(*next));
        }
        writer.of(format!("{subtask} of {}", of.get()))
    }

    fn decode(node: &NodeId, position: &SplitPosition) -> Result<Self, PortError> {
        read_position(node, position, VERSION, |numbers| {
            let next = numbers.u64()?;
            let frontiers = numbers.u32()?;
            let earlier = (0..frontiers).map(|_| read_frontier(numbers)).collect::<Option<_>>()?;
            Some(Self { next, earlier })
        })
    }

    /// Where a subtask goes on from these positions, which are those of all subtasks that there were; also the number
    /// below which every event was made. One of which nothing is said begins at `first`.
    ///
    /// # Errors
    /// `Fatal` if the positions are not those of a generator.
    pub(super) fn resume(
        node: &NodeId,
        positions: &[SplitPosition],
        first: u64,
        subtask: SubtaskIndex,
        of: Parallelism,
    ) -> Result<(Self, u64), PortError> {
        let (mut before, mut earlier, mut own) = (Vec::new(), Vec::<Frontier>::new(), None);
        for position in positions {
            let (at, count) = shares(&position.split).ok_or_else(|| strange(node, &position.split))?;
            if before.is_empty() {
                before = (0..count.get()).map(|share| Self::begin(first, SubtaskIndex(share), count).next).collect();
            } else if before.len() != count.get() as usize {
                return Err(strange(node, &position.split));
            }
            let progress = Self::decode(node, position)?;
            before[at.at()] = progress.next;
            // Each knows those that it has not passed yet; the one that is farthest behind knows all of them.
            if progress.earlier.len() > earlier.len() {
                earlier.clone_from(&progress.earlier);
            }
            own = own.or((of == count && at == subtask).then_some(progress));
        }
        let made = before.iter().copied().min().unwrap_or(first);
        let same_shares = before.is_empty() || before.len() == of.get() as usize;
        let progress = own.unwrap_or_else(|| {
            if same_shares {
                return Self::begin(first, subtask, of);
            }
            earlier.push(Frontier { next: before });
            let mut progress = Self { earlier, ..Self::begin(made, subtask, of) };
            progress.leave_out(u64::from(of.get()));
            progress
        });
        Ok((progress, made))
    }
}

fn read_frontier(numbers: &mut PositionReader<'_>) -> Option<Frontier> {
    let subtasks = numbers.u32().filter(|subtasks| *subtasks > 0)?;
    let next = (0..subtasks).map(|_| numbers.u64()).collect::<Option<_>>()?;
    Some(Frontier { next })
}

/// The subtask and the parallelism in the name of a split, such as `2 of 5`.
fn shares(split: &str) -> Option<(SubtaskIndex, Parallelism)> {
    let (subtask, of) = split.split_once(" of ")?;
    let (subtask, of) = (subtask.parse().ok()?, of.parse().ok()?);
    (subtask < of).then(|| Some((SubtaskIndex(subtask), Parallelism(std::num::NonZeroU32::new(of)?))))?
}

fn strange(node: &NodeId, split: &str) -> PortError {
    PortError::fatal(format!(
        "source `{node}`: the checkpoint has a position for `{split}`, which does not belong with the others of a \
         generator; was another kind of source under this id? give this one an id of its own"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parallelism(of: u32) -> Parallelism {
        Parallelism(std::num::NonZeroU32::new(of).expect("not zero"))
    }

    #[test]
    fn golden_positions() {
        let earlier = vec![Frontier { next: vec![4, 0x0102] }];
        let progress = Progress { next: 7, earlier };
        let position = progress.encode(SubtaskIndex(1), parallelism(3));
        assert_eq!(position.split, "1 of 3");
        let wanted = [
            &[1, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0][..],
            &[2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(position.position, wanted.concat());
        assert_eq!(Progress::decode(&"made".parse().expect("an id"), &position), Ok(progress));
    }

    #[test]
    fn positions_of_something_else_are_refused() {
        let node = "made".parse().expect("an id");
        let good = Progress::default().encode(SubtaskIndex(0), parallelism(2));
        let renamed = |split: &str| SplitPosition { split: split.to_owned(), ..good.clone() };
        for positions in [vec![renamed("a.csv")], vec![renamed("2 of 2")], vec![good.clone(), renamed("1 of 3")]] {
            let error = Progress::resume(&node, &positions, 0, SubtaskIndex(1), parallelism(2)).expect_err("strange");
            assert!(error.message.contains("does not belong"), "{error}");
        }
    }
}
