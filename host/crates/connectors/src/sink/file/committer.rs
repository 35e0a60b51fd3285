//! Makes staged files visible, and removes those that never will be.
//!
//! Every step can be repeated by anybody at any time: a rename is done or not; a piece goes to a fixed place in its
//! target, so writing it again changes nothing, and mends what was written by halves. A staged file that is not in its
//! folder was committed; a folder that is not there says nothing.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use gristmill_checkpoint::{CommitPermit, Committable};
use gristmill_dataflow::document::FileSink;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{Committer, PortError};
use gristmill_types::{AttemptId, NodeId};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::place::{self, Place, sync_names};
use super::staging::{Append, Staging};
use super::target::{self, Stranger};
use crate::sink::pending_bytes::in_words;

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// What commits the files of a sink.
pub(super) fn committer(context: &PartContext, spec: &FileSink, base: &Path) -> Box<dyn Committer> {
    let path = base.join(&spec.path);
    Box::new(FileCommitter {
        sink: context.node.clone(),
        directory: place::directory_of(&path),
        places: Place::all(spec, base, &context.node, context.parallelism),
    })
}

struct FileCommitter {
    sink: NodeId,
    directory: PathBuf,
    /// Of the targets of all subtasks.
    places: Vec<Place>,
}

impl Committer for FileCommitter {
    fn commit(&mut self, _permit: &CommitPermit, committable: &Committable) -> Result<(), PortError> {
        match Staging::of(committable)? {
            Staging::Append(append) if append.first => self.begin(&append),
            Staging::Append(append) => self.append(&append),
            Staging::Part(part) => self.rename(&part.staged, &part.target, part.length, rename_beside).map(drop),
        }
    }

    fn abort_all_but(&mut self, decided: &[Committable], earlier: &[AttemptId]) -> Result<(), PortError> {
        let ours = decided.iter().filter(|committable| committable.sink == self.sink);
        let staged: HashSet<String> = ours
            .map(|committable| Ok(Staging::of(committable)?.staged().to_owned()))
            .collect::<Result<_, PortError>>()?;
        let is_undecided = |name: &str| {
            let stager = self.places.iter().find_map(|place| place.stager(name));
            stager.is_some_and(|attempt| earlier.contains(&attempt)) && !staged.contains(name)
        };
        let shown = format!("`{}`", self.directory.display());
        let found = match self.directory.read_dir() {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(in_words(&shown, &error)),
        };
        for entry in found {
            let entry = entry.map_err(|error| in_words(&shown, &error))?;
            if entry.file_name().to_str().is_some_and(is_undecided) {
                remove(&entry.path())?;
                fail::fail_point!("file-sink-staged-aborted");
            }
        }
        Ok(())
    }
}

impl FileCommitter {
    /// Lets a staged file have the name of its target. Says whether it was there.
    fn rename(&self, staged: &str, target: &str, length: u64, rename: Rename) -> Result<bool, PortError> {
        let (staged, target) = (self.directory.join(staged), self.directory.join(target));
        let found = is_there(staged.metadata(), &staged)?;
        if let Some(found) = &found {
            whole(&staged, found.len(), length)?;
            fail::fail_point!("file-sink-before-rename");
            is_there(rename(&staged, &target), &target)?;
            fail::fail_point!("file-sink-renamed");
        }
        // Also if it was renamed before: whoever did that may not have come this far.
        match sync_names(&self.directory) {
            Ok(()) => Ok(found.is_some()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.folder_gone()),
            Err(error) => Err(in_words(&format!("`{}`", target.display()), &error)),
        }
    }

    /// Makes the first piece of a run the target.
    fn begin(&self, append: &Append) -> Result<(), PortError> {
        let Append { staged, target, length, .. } = append;
        let rename: Rename = |from, to| std::fs::rename(from, to);
        if self.rename(staged, target, *length, rename)? { Ok(()) } else { self.reaches(append) }
    }

    /// A piece that is not staged any more stands in its target.
    fn reaches(&self, append: &Append) -> Result<(), PortError> {
        let target = self.directory.join(&append.target);
        let end = append.offset + append.length;
        match is_there(target.metadata(), &target)? {
            Some(found) if found.len() >= end => Ok(()),
            Some(found) => Err(Stranger::Short { bytes: found.len() }.told(&target, end)),
            None if self.directory.is_dir() => Err(Stranger::Gone.told(&target, end)),
            None => Err(self.folder_gone()),
        }
    }

    /// Not taken for output that was committed, and not made anew: what is decided lies in the folder that was there.
    fn folder_gone(&self) -> PortError {
        PortError::fatal(format!(
            "the folder `{}` is gone, and output that belongs to the job with it; put it back, or mount its disk, then \
             restart the job",
            self.directory.display()
        ))
    }

    /// Puts a piece behind what stands in its target, however much of it is there already.
    fn append(&self, append: &Append) -> Result<(), PortError> {
        let (staged, target) = (self.directory.join(&append.staged), self.directory.join(&append.target));
        let shown = format!("`{}`", target.display());
        let Some(mut piece) = is_there(File::open(&staged), &staged)? else { return self.reaches(append) };
        let found = piece.metadata().map_err(|error| in_words(&shown, &error))?;
        whole(&staged, found.len(), append.length)?;
        let file = File::options().read(true).write(true).open(&target);
        let file = is_there(file, &target)?.ok_or_else(|| Stranger::Gone.told(&target, append.offset))?;
        let checked = target::check(&file, &piece, append).map_err(|error| in_words(&shown, &error))?;
        checked.map_err(|stranger| stranger.told(&target, append.offset))?;
        fail::fail_point!("file-sink-before-append");
        copy(&mut piece, &file, append.offset).map_err(|error| in_words(&shown, &error))?;
        fail::fail_point!("file-sink-appended");
        file.sync_all().map_err(|error| PortError::fatal(format!("cannot write {shown}: {error}")))?;
        fail::fail_point!("file-sink-append-synced");
        remove(&staged)
    }
}

/// A way of giving a file another name.
type Rename = fn(&Path, &Path) -> std::io::Result<()>;

/// Takes nobody's place. Where the file system cannot promise that, the name itself does: nobody else makes such.
fn rename_beside(from: &Path, to: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

/// What was found, or `None` if there is nothing: whoever committed it was faster.
fn is_there<T>(found: std::io::Result<T>, path: &Path) -> Result<Option<T>, PortError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(in_words(&format!("`{}`", path.display()), &error)),
    }
}

/// A staged file is as long as it was when it was sealed.
fn whole(staged: &Path, found: u64, length: u64) -> Result<(), PortError> {
    if found == length {
        return Ok(());
    }
    Err(PortError::fatal(format!(
        "the staged output `{}` has {found} bytes where {length} were written; it was changed by something else, and what \
         it held cannot be committed; restore the file from a backup",
        staged.display()
    )))
}

fn copy(from: &mut File, to: &File, mut offset: u64) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all_at(&chunk[..read], offset)?;
        offset += read as u64;
        fail::fail_point!("file-sink-chunk-appended");
    }
}

fn remove(path: &Path) -> Result<(), PortError> {
    is_there(std::fs::remove_file(path), path).map(|_| ())
}
