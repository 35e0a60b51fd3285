//! Writes lines to the host's standard output.
//!
//! A batch is written under one lock, so lines of several subtasks do not mix. The lock is that of the whole host: while
//! the reader of standard output holds still, every sink that writes there waits. At least once: lines behind the last
//! checkpoint come again after a restart.

use std::io::Stdout;

use gristmill_dataflow::document::StdoutSink;
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;

use super::encodable::encode_what_can_be;
use super::pending_bytes::PendingBytes;
use super::tally::Tally;
use crate::format::encode::Encoder;

/// Opens the sink, to go on from its position if there is one.
///
/// # Errors
/// `Fatal` for a path into values that is none, and if the position cannot be read.
pub(crate) fn open(
    context: &PartContext,
    spec: &StdoutSink,
    resume: Option<&[u8]>,
) -> Result<Box<dyn Sink>, PortError> {
    let encoder = Encoder::new(&spec.encode)?;
    let mut pending = PendingBytes::new(std::io::stdout(), "standard output".to_owned());
    if resume.is_none() {
        pending.room()?.extend_from_slice(&encoder.header());
    }
    let tally = Tally::resume(resume, true, context.node.as_str())?;
    Ok(Box::new(StdoutWriter { encoder, pending, tally }))
}

struct StdoutWriter {
    encoder: Encoder,
    pending: PendingBytes<Stdout>,
    tally: Tally,
}

impl Sink for StdoutWriter {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        let _whole_lines = std::io::stdout().lock();
        let room = self.pending.room()?;
        Ok(encode_what_can_be(&self.encoder, events, room, &mut self.tally))
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let _whole_lines = std::io::stdout().lock();
        self.pending.write_out()
    }

    fn position(&self) -> Vec<u8> {
        self.tally.position()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.flush()?;
        Ok(Some(self.tally.summary()))
    }
}
