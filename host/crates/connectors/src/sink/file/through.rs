//! Pipes and devices: bytes go straight through. At least once: what was written cannot be taken back.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;

use super::place::in_words;
use crate::format::encode::Encoder;
use crate::sink::encodable::encode_what_can_be;
use crate::sink::pending_bytes::PendingBytes;
use crate::sink::tally::Tally;

/// Whether something stands there that bytes go through.
pub(super) fn goes_through(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Opens a pipe or a device. The header is written unless the sink goes on.
///
/// # Errors
/// `Fatal` if it cannot be written.
pub(super) fn open(
    path: &Path,
    encoder: Encoder,
    tally: Tally,
    goes_on: bool,
    runtime: &Handle,
) -> Result<Box<dyn Sink>, PortError> {
    let is_pipe = path.metadata().is_ok_and(|found| found.file_type().is_fifo());
    let opened = if is_pipe {
        open_pipe(path, runtime).map_err(|error| format!("{error}; start its reader first"))
    } else {
        File::options().write(true).open(path).map_err(|error| in_words(&error))
    };
    let file = opened.map_err(|reason| PortError::fatal(format!("cannot write `{}`: {reason}", path.display())))?;
    let mut pending = PendingBytes::new(file, format!("`{}`", path.display()));
    if !goes_on {
        pending.room()?.extend_from_slice(&encoder.header());
    }
    Ok(Box::new(ThroughWriter { encoder, pending, tally }))
}

/// Opens a pipe with a name. The system's own way waits until somebody reads it, and nothing would end that wait.
fn open_pipe(path: &Path, runtime: &Handle) -> std::io::Result<File> {
    let _serves_pipes = runtime.enter();
    let pipe: OwnedFd = pipe::OpenOptions::new().open_sender(path)?.into_blocking_fd()?;
    Ok(pipe.into())
}

struct ThroughWriter {
    encoder: Encoder,
    pending: PendingBytes<File>,
    tally: Tally,
}

impl Sink for ThroughWriter {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        let room = self.pending.room()?;
        Ok(encode_what_can_be(&self.encoder, events, room, &mut self.tally))
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.pending.write_out()
    }

    fn position(&self) -> Vec<u8> {
        self.tally.position()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.pending.write_out()?;
        Ok(Some(self.tally.summary()))
    }
}
