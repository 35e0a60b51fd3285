//! Keeps lists of files short.

use std::ops::Range;

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::{StateMerger, StateTime};
use gristmill_ports::{FileStore, PortError};
use gristmill_types::KeyGroupRange;
use gristmill_types::descriptor::StateSpec;

use super::merge::{Merged, Rule};
use super::writer::FileWriter;

/// So many neighbours of like size are merged into one.
const WIDTH: usize = 8;

/// Neighbours are of like size if the largest has at most this many times the bytes of the smallest.
const LIKE_SIZE: u64 = 4;

/// No list is let grow beyond this: each of its files is read at a restore, and named in each manifest.
const LONGEST_LIST: usize = 20;

/// A few KiB cost as little as nothing; so files below count as equal.
const SMALL_BYTES: u64 = 16 << 10;

/// Everything about files of state that runs in the background.
#[derive(Debug, Clone, Copy, Default)]
pub struct Merger;

impl StateMerger for Merger {
    /// Eight neighbours of like size, the newest there are. An entry is then written again each time that its file
    /// grows by eight: `log8` of how much came since, not once for each checkpoint. If the list would become too
    /// long all the same, the eight neighbours that are cheapest to merge.
    fn choose(&self, files: &[StateFile]) -> Option<Range<usize>> {
        let bytes = |file: &StateFile| file.file.bytes.max(SMALL_BYTES);
        let windows = || files.windows(WIDTH).enumerate().map(|(start, window)| (start..start + WIDTH, window));
        let like_size = |window: &[StateFile]| {
            let sizes = || window.iter().map(bytes);
            sizes().max() <= sizes().min().map(|least| least * LIKE_SIZE)
        };
        let like = windows().filter(|(_, window)| like_size(window)).last();
        let too_long = files.len() > LONGEST_LIST;
        let cheapest = || windows().min_by_key(|(_, window)| window.iter().map(bytes).sum::<u64>());
        like.or_else(|| cheapest().filter(|_| too_long)).map(|(range, _)| range)
    }

    fn merge(
        &self,
        states: &[StateSpec],
        neighbours: &[StateFile],
        is_oldest: bool,
        time: StateTime,
        files: &dyn FileStore,
    ) -> Result<Option<StateFile>, PortError> {
        let rules = states.iter().map(|spec| Rule::of(spec, time)).collect();
        let all = KeyGroupRange { start: 0, end: u16::MAX };
        let mut merged = Merged::open(neighbours, all, rules, is_oldest, files)?;
        let mut out = FileWriter::create(files.scratch())?;
        while merged.advance()? {
            if let Some(entry) = merged.entry() {
                out.push(&entry)?;
            }
        }
        let file = out.store(files)?;
        fail::fail_point!("state-files-merged");
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use gristmill_checkpoint::{FileHash, FileRef};
    use gristmill_types::AttemptId;

    use super::*;

    fn file(bytes: u64) -> StateFile {
        let file = FileRef { attempt: AttemptId(1), number: 0, hash: FileHash([0; 32]), bytes };
        StateFile { file, entries: bytes, groups: KeyGroupRange { start: 0, end: 1 } }
    }

    /// The longest list, and how often a byte was written again, while one delta after the other comes.
    fn live(deltas: impl Iterator<Item = u64>, most: u64) -> (usize, f64) {
        let (mut list, mut longest, mut came, mut rewritten) = (Vec::new(), 0, 0, 0);
        for delta in deltas {
            list.push(file(delta));
            came += delta;
            while let Some(range) = Merger.choose(&list) {
                let bytes = list[range.clone()].iter().map(|file| file.file.bytes).sum::<u64>().min(most);
                rewritten += bytes;
                list.splice(range, [file(bytes)]);
            }
            longest = longest.max(list.len());
        }
        (longest, rewritten as f64 / came as f64)
    }

    #[test]
    fn an_endless_list_stays_short_and_is_seldom_written_again() {
        const MIB: u64 = 1 << 20;
        let uneven = || (0..100_000_u64).map(|delta| 1 + (delta * 7919) % 31 * MIB / 8);
        for (name, (longest, rewritten), bound) in [
            ("growing for ever", live((0..100_000).map(|_| MIB), u64::MAX), 7.0),
            ("always the same keys", live((0..100_000).map(|_| MIB), MIB), 1.3),
            ("a million keys, a tenth at a time", live((0..100_000).map(|_| MIB), 10 * MIB), 3.0),
            ("of all sizes", live(uneven(), u64::MAX), 9.0),
            ("nearly idle", live((0..100_000).map(|_| 300), 1 << 14), 200.0),
        ] {
            assert!(longest <= LONGEST_LIST, "{name}: {longest} files in a list");
            assert!(rewritten <= bound, "{name}: each byte was written again {rewritten:.1} times");
        }
    }
}
