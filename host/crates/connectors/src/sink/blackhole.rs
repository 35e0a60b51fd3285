//! Counts events and forgets them: for benchmarks, and for jobs whose operators do all the work.

use gristmill_dataflow::document::BlackholeSink;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;

use super::tally::Tally;

/// Opens the sink.
pub(crate) fn open(spec: &BlackholeSink) -> Box<dyn Sink> {
    Box::new(Blackhole { tally: Tally::new(spec.checksum.unwrap_or(true)) })
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

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        Ok(Some(self.tally.summary()))
    }
}
