//! Writes files on the host's disk, each event exactly once.
//!
//! Events go to hidden files beside their target. A checkpoint cuts them off (`pre_commit`), off the subtask's thread
//! they come to the disk (`seal`), and once the checkpoint is decided the committer makes them visible. Bytes reach the
//! operating system at every flush, as those of any program do; that keeps memory bounded, and shows nothing.

mod place;
mod lock;
mod staging;
mod target;
mod staged_file;
mod through;
mod one;
mod part;
mod parts;
mod committer;

use std::path::Path;

use gristmill_dataflow::document::FileSink;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{Committer, PortError, Sink};
use tokio::runtime::Handle;

use self::lock::Lock;
use super::tally::Tally;
use crate::format::encode::Encoder;

/// Opens the writer of one subtask, to go on from its position if there is one; the folder is made. What stands in the
/// file stays for now.
///
/// # Errors
/// `Fatal` if it cannot be written or is being written already, for a path into values that is none, and if the position
/// cannot be read.
pub(crate) fn open(
    context: &PartContext,
    spec: &FileSink,
    base: &Path,
    resume: Option<&[u8]>,
    runtime: &Handle,
) -> Result<Box<dyn Sink>, PortError> {
    let path = base.join(&spec.path);
    let path = if spec.has_parts() { path } else { place::path_of(&path, context.subtask, context.parallelism) };
    let refuse = |reason: String| PortError::fatal(format!("cannot write `{}`: {reason}", path.display()));
    place::make_directory(&place::directory_of(&path)).map_err(|error| refuse(place::in_words(&error)))?;
    if spec.has_parts() {
        return parts::open(context, spec, base, resume);
    }
    let encoder = Encoder::new(&spec.encode)?;
    if through::goes_through(&path) {
        let tally = Tally::resume(resume, true, context.node.as_str())?;
        return through::open(&path, encoder, tally, resume.is_some(), runtime);
    }
    if path.is_dir() {
        return Err(refuse("it is a directory; name a file in it".to_owned()));
    }
    if path.is_symlink() {
        let reason =
            "it is a symbolic link, which would be replaced instead of the file; name the file that it points to";
        return Err(refuse(reason.to_owned()));
    }
    let lock = Lock::of(&path, context).map_err(refuse)?;
    one::open(context, &path, encoder, lock, resume)
}

/// What commits the files of a sink.
pub(crate) fn committer(context: &PartContext, spec: &FileSink, base: &Path) -> Box<dyn Committer> {
    committer::committer(context, spec, base)
}
