//! Counts events and forgets them: for benchmarks, and for jobs whose operators do all the work.
//!
//! What it counted is part of the checkpoint, so each event counts once, whatever happens to the host.

use gristmill_dataflow::document::BlackholeSink;
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;

use super::tally::Tally;

/// Opens the sink, to count on from its position if there is one.
///
/// # Errors
/// `Fatal` if the position cannot be read.
pub(crate) fn open(
    context: &PartContext,
    spec: &BlackholeSink,
    resume: Option<&[u8]>,
) -> Result<Box<dyn Sink>, PortError> {
    let tally = Tally::resume(resume, spec.checksum.unwrap_or(true), context.node.as_str())?;
    Ok(Box::new(Blackhole { tally }))
}

struct Blackhole {
    tally: Tally,
}

impl Sink for Blackhole {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        self.tally.count(events);
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    fn position(&self) -> Vec<u8> {
        self.tally.position()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        Ok(Some(self.tally.summary()))
    }
}
