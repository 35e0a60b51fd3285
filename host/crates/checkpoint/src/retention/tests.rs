//! What goes and what stays, as small numbers.

use gristmill_types::AttemptId;

use super::*;
use crate::file::FileHash;

fn file(number: u64) -> FileRef {
    FileRef { attempt: AttemptId(1), number, hash: FileHash([0; 32]), bytes: 1 }
}

fn files(numbers: &[u64]) -> BTreeSet<FileRef> {
    numbers.iter().copied().map(file).collect()
}

/// Checkpoint `n` stands in slot `10 n`.
fn decided(all: &[(u64, &[u64])]) -> VecDeque<Retained> {
    let retained = |&(checkpoint, named): &(u64, &[u64])| Retained {
        slot: Slot(10 * checkpoint),
        checkpoint: CheckpointId(checkpoint),
        files: files(named),
        splits: Splits::new(),
    };
    all.iter().map(retained).collect()
}

#[test]
fn the_newest_are_kept_with_all_that_they_name() {
    let all: [(u64, &[u64]); 3] = [(1, &[1, 2]), (2, &[2, 3]), (3, &[3, 4])];
    let check = |keep, pinned: &[u64], slots: &[u64], gone: &[u64]| {
        let mut kept = decided(&all);
        let garbage = retire(&mut kept, keep, &files(pinned));
        assert_eq!(garbage.slots, slots.iter().copied().map(Slot).collect::<Vec<_>>(), "keep {keep}");
        assert_eq!(garbage.files, gone.iter().copied().map(file).collect::<Vec<_>>(), "keep {keep}");
        assert_eq!(kept.len(), all.len() - slots.len());
        assert_eq!(garbage.is_empty(), slots.is_empty());
    };
    check(3, &[], &[], &[]);
    check(9, &[], &[], &[]);
    check(2, &[], &[10], &[1]);
    check(1, &[], &[10, 20], &[1, 2]);
    check(0, &[], &[10, 20], &[1, 2]);
    check(1, &[2], &[10, 20], &[1]);
}

#[test]
fn nothing_is_deleted_where_nothing_was_decided() {
    assert!(retire(&mut VecDeque::new(), 1, &BTreeSet::new()).is_empty());
}

#[test]
fn what_a_crash_left_behind_is_what_nothing_names() {
    let kept = decided(&[(1, &[1, 2]), (2, &[2, 3])]);
    let folder = RunFolder::new(&"orders".parse().unwrap(), gristmill_types::RunId(1));
    let path = |number| folder.file(&file(number));
    assert_eq!(left_behind(&folder, [0, 1, 2, 3, 4].map(path), &kept), [path(0), path(4)]);
}
