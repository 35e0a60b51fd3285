//! Keeps lists of files short.

use std::cmp::Reverse;
use std::ops::Range;

use gristmill_checkpoint::StateFile;
use gristmill_ports::checkpoint_store::interrupted;
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

/// Newer files may have so many times the bytes of the oldest, and what comes until they are merged. Beyond, what they say again
/// of the same keys makes a list much heavier than what it stands for: whoever restores it or takes a savepoint reads all of it
/// (as RocksDB's `max_size_amplification_percent`).
const NEWER_PER_OLDEST: u64 = 2;

/// Entries that are merged between two looks at whether that is still wanted: about a block.
const ENTRIES_BETWEEN_LOOKS: usize = 256;

/// Everything about files of state that runs in the background.
#[derive(Debug, Clone, Copy, Default)]
pub struct Merger;

/// Neighbours of a list, and what they weigh.
struct Window {
    range: Range<usize>,
    total: u64,
    largest: u64,
    smallest: u64,
}

fn windows(files: &[StateFile], width: usize) -> impl Iterator<Item = Window> {
    files.windows(width).enumerate().map(move |(start, window)| {
        let bytes = || window.iter().map(|file| file.file.bytes.max(SMALL_BYTES));
        let (largest, smallest) = (bytes().max().unwrap_or(0), bytes().min().unwrap_or(0));
        Window { range: start..start + width, total: bytes().sum(), largest, smallest }
    })
}

/// Whether the newer files have more than their share. An oldest file that several lists took over weighs in each as a whole.
fn is_amplified(files: &[StateFile]) -> bool {
    files.split_first().is_some_and(|(oldest, newer)| {
        let newer = newer.iter().map(|file| file.file.bytes).sum::<u64>();
        newer > oldest.file.bytes.max(SMALL_BYTES) * NEWER_PER_OLDEST
    })
}

fn is_too_long(files: &[StateFile]) -> bool {
    files.len() > LONGEST_LIST
}

impl Merger {
    /// Eight neighbours of like size, the newest there are. An entry is then written again each time that its file grows by
    /// eight: `log8` of how much came since, not once for each checkpoint. If the list becomes too long all the same, the
    /// neighbours among which the largest has the least share: it is what is written again in vain.
    fn choose_for_length(files: &[StateFile]) -> Option<Range<usize>> {
        let like_size = |window: &Window| window.largest <= window.smallest * LIKE_SIZE;
        let like = windows(files, WIDTH).filter(like_size).last();
        let even = |window: &Window| (window.total * 64 / window.largest, Reverse(window.total));
        let evenest = || (3..=WIDTH).flat_map(|width| windows(files, width)).max_by_key(even);
        like.or_else(|| evenest().filter(|_| is_too_long(files))).map(|window| window.range)
    }
}

impl StateMerger for Merger {
    /// The whole list if it is too heavy: at least two thirds of it are newer than its oldest file then, so on average an entry
    /// is written again once or twice for that. But not while it is too long: where a merge of all finds no room, one of some may.
    fn choose(&self, files: &[StateFile]) -> Option<Range<usize>> {
        let as_one = is_amplified(files) && !is_too_long(files);
        if as_one { Some(0..files.len()) } else { Self::choose_for_length(files) }
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
        let mut entries = 0_usize;
        while merged.advance()? {
            if let Some(entry) = merged.entry() {
                out.push(&entry)?;
            }
            entries += 1;
            if entries.is_multiple_of(ENTRIES_BETWEEN_LOOKS) && files.is_over() {
                return Err(interrupted());
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

    /// How a list fared while one delta after the other came.
    struct Life {
        /// Files of the longest list.
        longest: usize,
        /// The bytes of the list before it is merged, for one of what it stands for; at its heaviest.
        amplified: f64,
        /// How often a byte was written again.
        rewritten: f64,
    }

    fn live(deltas: impl Iterator<Item = u64>, most: u64) -> Life {
        let bytes_of = |list: &[StateFile]| list.iter().map(|file| file.file.bytes).sum::<u64>();
        let (mut list, mut longest, mut came, mut rewritten, mut amplified) = (Vec::new(), 0, 0, 0, 0.0_f64);
        for delta in deltas {
            list.push(file(delta));
            came += delta;
            amplified = amplified.max(bytes_of(&list) as f64 / came.min(most).max(SMALL_BYTES) as f64);
            while let Some(range) = Merger.choose(&list) {
                let bytes = bytes_of(&list[range.clone()]).min(most);
                rewritten += bytes;
                list.splice(range, [file(bytes)]);
            }
            longest = longest.max(list.len());
        }
        Life { longest, amplified, rewritten: rewritten as f64 / came as f64 }
    }

    #[test]
    fn a_heavy_list_becomes_one_file_and_one_that_is_too_long_becomes_shorter_first() {
        let heavy = |files: usize| vec![file(1 << 20); files];
        assert_eq!(Merger.choose(&heavy(3)), None);
        for files in [4, 5, LONGEST_LIST] {
            assert_eq!(Merger.choose(&heavy(files)), Some(0..files), "{files} files");
        }
        for files in [LONGEST_LIST + 1, 40, 1000] {
            let mut list = heavy(files);
            while list.len() > LONGEST_LIST {
                let range = Merger.choose(&list).expect("it is too long");
                assert!(range.len() <= WIDTH, "{files} files: {range:?}");
                list.splice(range, [file(1 << 20)]);
            }
        }
    }

    #[test]
    fn an_endless_list_stays_short_and_light_and_is_seldom_written_again() {
        const MIB: u64 = 1 << 20;
        let uneven = || (0..100_000_u64).map(|delta| 1 + (delta * 7919) % 31 * MIB / 8);
        for (name, life, bound) in [
            ("growing for ever", live((0..100_000).map(|_| MIB), u64::MAX), 7.0),
            ("always the same keys", live((0..100_000).map(|_| MIB), MIB), 1.3),
            ("a million keys, a tenth at a time", live((0..100_000).map(|_| MIB), 10 * MIB), 3.0),
            ("a million keys, a fiftieth at a time", live((0..100_000).map(|_| MIB), 50 * MIB), 3.0),
            ("of all sizes", live(uneven(), u64::MAX), 9.0),
            ("nearly idle", live((0..100_000).map(|_| 300), 1 << 14), 10.0),
        ] {
            let Life { longest, amplified, rewritten } = life;
            assert!(longest <= LONGEST_LIST, "{name}: {longest} files in a list");
            assert!(amplified <= 4.0, "{name}: {amplified:.1} bytes in a list for one that it stands for");
            assert!(rewritten <= bound, "{name}: each byte was written again {rewritten:.1} times");
        }
    }
}
