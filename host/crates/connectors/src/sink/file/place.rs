//! Where the files of a sink lie: their names, the hidden ones of staged output too.
//!
//! ```text
//! one file     rows.jsonl                          staged: .rows.jsonl.{attempt}-{sink}-{subtask}-{number}.staged
//! many files   rows-{checkpoint}-{attempt}-{sink}-{subtask}-{number}.parquet
//!                                                  staged: .rows-{attempt}-{sink}-{subtask}-{number}.parquet.staged
//! ```
//! An attempt is a random number, so no two of these names are ever the same, whoever counts from zero again, and whatever
//! way two sinks of a job take to the same folder. Hosts that came before left the sink out. Staged files stand beside
//! their targets: only there is a rename one step.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gristmill_dataflow::document::FileSink;
use gristmill_dataflow::document::sink::PART;
use gristmill_types::{AttemptId, CheckpointId, NodeId, Parallelism, SubtaskIndex};

/// How the name of a staged file ends.
const STAGED: &str = ".staged";

/// A folder, and what the names of a target's files in it have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    sink: NodeId,
    /// Before and behind what tells the files of one target apart.
    before: String,
    after: String,
}

impl Place {
    /// The place of a target that is one file.
    pub(super) fn of_one(path: &Path, sink: &NodeId) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (before, after) = (format!("{name}."), String::new());
        Self { directory: directory_of(path), sink: sink.clone(), before, after }
    }

    /// The place of a target that is many files: `{part}` stands in its name.
    pub(super) fn of_parts(path: &Path, sink: &NodeId) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (before, after) = name.split_once(PART).unwrap_or((&name, ""));
        let (before, after) = (before.to_owned(), after.to_owned());
        Self { directory: directory_of(path), sink: sink.clone(), before, after }
    }

    /// The places of all subtasks of a sink.
    pub(super) fn all(spec: &FileSink, base: &Path, sink: &NodeId, parallelism: Parallelism) -> Vec<Self> {
        let path = base.join(&spec.path);
        if spec.has_parts() {
            return vec![Self::of_parts(&path, sink)];
        }
        let subtasks = (0..parallelism.get()).map(SubtaskIndex);
        subtasks.map(|subtask| Self::of_one(&path_of(&path, subtask, parallelism), sink)).collect()
    }

    /// The name of a staged file: never used again, neither by this attempt nor by another.
    pub(super) fn staged(&self, attempt: AttemptId, subtask: SubtaskIndex, number: u64) -> String {
        format!(".{}{attempt}-{}-{subtask}-{number}{}{STAGED}", self.before, self.sink, self.after)
    }

    /// The name of one of many files.
    pub(super) fn part(
        &self,
        checkpoint: CheckpointId,
        attempt: AttemptId,
        subtask: SubtaskIndex,
        number: usize,
    ) -> String {
        format!("{}{:08}-{attempt}-{}-{subtask}-{number}{}", self.before, checkpoint.0, self.sink, self.after)
    }

    /// The attempt that staged a file of this name; `None` if the file is nothing of this target and this sink.
    pub(super) fn stager(&self, name: &str) -> Option<AttemptId> {
        let rest = name.strip_prefix('.')?.strip_prefix(self.before.as_str())?;
        let rest = rest.strip_suffix(STAGED)?.strip_suffix(self.after.as_str())?;
        let (attempt, rest) = rest.split_once('-')?;
        let (rest, number) = rest.rsplit_once('-')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_ours = match rest.rsplit_once('-') {
            Some((sink, subtask)) => sink == self.sink.as_str() && is_number(subtask),
            None => is_number(rest),
        };
        if attempt.len() != 16 || !is_ours || !is_number(number) {
            return None;
        }
        u64::from_str_radix(attempt, 16).ok().map(AttemptId)
    }
}

/// `name.ext`, or `name-<subtask>.ext` where there are several subtasks.
pub(super) fn path_of(path: &Path, subtask: SubtaskIndex, parallelism: Parallelism) -> PathBuf {
    if parallelism.get() == 1 {
        return path.to_owned();
    }
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let mut name = format!("{}-{subtask}", part(path.file_stem()));
    if path.extension().is_some() {
        name = format!("{name}.{}", part(path.extension()));
    }
    path.with_file_name(name)
}

pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Makes a folder and those around it, and brings their names to the disk: a file in them is as durable as they are.
pub(super) fn make_directory(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let around = directory_of(directory);
    make_directory(&around)?;
    match std::fs::create_dir(directory) {
        Ok(()) => sync_names(&around),
        // Another subtask was faster.
        Err(_) if directory.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Brings the names in a folder to the disk.
pub(super) fn sync_names(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Why a target cannot be had, and what to do about it.
pub(super) fn in_words(error: &std::io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; let the host write there, or choose another path"
        }
        ErrorKind::IsADirectory => "; name a file in it",
        _ => "",
    };
    format!("{error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: AttemptId = AttemptId(0xab);

    fn one(path: &str, sink: &str) -> Place {
        Place::of_one(Path::new(path), &sink.parse().expect("an id"))
    }

    fn parts(path: &str, sink: &str) -> Place {
        Place::of_parts(Path::new(path), &sink.parse().expect("an id"))
    }

    #[test]
    fn golden_names() {
        let one = one("out/rows.jsonl", "to-disk");
        assert_eq!(one.staged(ATTEMPT, SubtaskIndex(0), 7), ".rows.jsonl.00000000000000ab-to-disk-0-7.staged");
        let parts = parts("out/rows-{part}.parquet", "out");
        assert_eq!(parts.staged(ATTEMPT, SubtaskIndex(2), 7), ".rows-00000000000000ab-out-2-7.parquet.staged");
        let part = parts.part(CheckpointId(12), ATTEMPT, SubtaskIndex(2), 0);
        assert_eq!(part, "rows-00000012-00000000000000ab-out-2-0.parquet");
    }

    #[test]
    fn staged_files_are_known_by_their_target_and_their_sink_and_tell_who_staged_them() {
        for sink in ["out", "to-disk", "a-1-2"] {
            for place in [&one("rows", sink), &parts("rows{part}", sink), &parts("{part}-x.csv", sink)] {
                assert_eq!(place.stager(&place.staged(ATTEMPT, SubtaskIndex(11), 40)), Some(ATTEMPT), "{place:?}");
            }
        }
        let name = one("rows", "out").staged(ATTEMPT, SubtaskIndex(0), 0);
        for other in [parts("rows{part}", "out"), one("row", "out"), one("rows.jsonl", "out"), one("rows", "other")] {
            assert_eq!(other.stager(&name), None, "{other:?}");
        }
        for stranger in [
            "rows",
            ".rows.lock",
            ".rows..staged",
            ".rows.00000000000000ab-0-.staged",
            ".rows.00000000000000ab-out-0-.staged",
            ".rows.00000000000000ab-out-0.staged",
            ".rows.+0000000000000ab-0-0.stag",
        ] {
            assert_eq!(one("rows", "out").stager(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn what_hosts_staged_that_left_the_sink_out_is_known_too() {
        assert_eq!(one("rows", "out").stager(".rows.00000000000000ab-0-7.staged"), Some(ATTEMPT));
        assert_eq!(parts("a{part}.csv", "out").stager(".a00000000000000ab-2-7.csv.staged"), Some(ATTEMPT));
    }
}
