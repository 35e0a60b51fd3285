//! Writes a file on the host's disk.
//!
//! What stands in the file is replaced when the first bytes are written, or at the end if there were none: a job that
//! does not get that far leaves it as it was. While a sink writes a file, no other does. Bytes reach the operating system
//! at every flush, the disk at the end.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use gristmill_dataflow::document::FileSink;
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;

use super::encodable::encode_what_can_be;
use super::pending_bytes::PendingBytes;
use super::tally::Tally;
use crate::format::encode::Encoder;

/// Opens the file of one subtask; its directory is made. What stands in the file stays for now.
///
/// # Errors
/// `Fatal` if it cannot be written or is being written already, and for a path into values that is none.
pub(crate) fn open(
    context: &PartContext,
    spec: &FileSink,
    base: &Path,
    runtime: &Handle,
) -> Result<Box<dyn Sink>, PortError> {
    let encoder = Encoder::new(&spec.encode)?;
    let path = path_of(context, &base.join(&spec.path));
    let target = Target::open(&path, runtime)
        .map_err(|reason| PortError::fatal(format!("cannot write `{}`: {reason}", path.display())))?;
    let mut pending = PendingBytes::new(target, format!("`{}`", path.display()));
    pending.room()?.extend_from_slice(&encoder.header());
    Ok(Box::new(FileWriter { path, encoder, pending, tally: Tally::new(true) }))
}

/// `name.ext`, or `name-<subtask>.ext` where there are several subtasks.
fn path_of(context: &PartContext, path: &Path) -> PathBuf {
    if context.parallelism.get() == 1 {
        return path.to_owned();
    }
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let mut name = format!("{}-{}", part(path.file_stem()), context.subtask);
    if path.extension().is_some() {
        name = format!("{name}.{}", part(path.extension()));
    }
    path.with_file_name(name)
}

/// A file that keeps its content until something is written.
struct Target {
    file: File,
    /// On a disk: it has content, a lock, and a place to be synced to. Devices and pipes have none of these.
    on_disk: bool,
    replaced: bool,
}

impl Target {
    /// # Errors
    /// Why it cannot be written, and what to do about it.
    fn open(path: &Path, runtime: &Handle) -> Result<Self, String> {
        let directory = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(|error| in_words(&error))?;
        if path.metadata().is_ok_and(|found| found.file_type().is_fifo()) {
            let file = open_pipe(path, runtime).map_err(|error| format!("{error}; start its reader first"))?;
            return Ok(Self { file, on_disk: false, replaced: true });
        }
        let opened = File::options().write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(|error| in_words(&error))?;
        let on_disk = file.metadata().is_ok_and(|found| found.is_file());
        if on_disk {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let reason =
                        "another sink, job or program is writing it; wait for it to end, or choose another path";
                    return Err(reason.to_owned());
                }
                // There are file systems without locks: nobody can be kept out there.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(in_words(&error)),
            }
        }
        Ok(Self { file, on_disk, replaced: !on_disk })
    }

    /// Empties the file, once.
    fn replace(&mut self) -> std::io::Result<()> {
        if !self.replaced {
            self.file.set_len(0)?;
            self.replaced = true;
        }
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.replace()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Opens a pipe with a name. The system's own way waits until somebody reads it, and nothing would end that wait.
fn open_pipe(path: &Path, runtime: &Handle) -> std::io::Result<File> {
    let _serves_pipes = runtime.enter();
    let pipe: OwnedFd = pipe::OpenOptions::new().open_sender(path)?.into_blocking_fd()?;
    Ok(pipe.into())
}

fn in_words(error: &std::io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; let the host write there, or choose another path"
        }
        ErrorKind::IsADirectory => "; name a file in it",
        _ => "",
    };
    format!("{error}{hint}")
}

struct FileWriter {
    path: PathBuf,
    encoder: Encoder,
    pending: PendingBytes<Target>,
    tally: Tally,
}

impl Sink for FileWriter {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        let room = self.pending.room()?;
        Ok(encode_what_can_be(&self.encoder, events, room, &mut self.tally))
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.pending.write_out()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.pending.write_out()?;
        self.sync().map_err(|error| self.pending.error(&error))?;
        Ok(Some(self.tally.summary()))
    }
}

impl FileWriter {
    /// Brings the file to the disk, and its name in the directory.
    fn sync(&mut self) -> std::io::Result<()> {
        let target = self.pending.writer();
        // There may have been nothing to write.
        target.replace()?;
        if !target.on_disk {
            return Ok(());
        }
        target.file.sync_all()?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests;
