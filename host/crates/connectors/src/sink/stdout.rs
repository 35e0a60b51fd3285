//! Writes lines to the host's standard output.
//!
//! A batch is written under one lock, so lines of several subtasks do not mix.

use std::io::Stdout;

use gristmill_dataflow::document::StdoutSink;
use gristmill_ports::sink::SinkSummary;
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;

use super::outlet::Outlet;
use super::tally::Tally;
use crate::format::encode::Encoder;

/// Opens the sink.
///
/// # Errors
/// `Fatal` for a path into values that is none.
pub(crate) fn open(spec: &StdoutSink) -> Result<Box<dyn Sink>, PortError> {
    let encoder = Encoder::new(&spec.encode)?;
    let mut outlet = Outlet::new(std::io::stdout(), "standard output".to_owned());
    outlet.room()?.extend_from_slice(&encoder.header());
    Ok(Box::new(StdoutWriter { encoder, outlet, tally: Tally::new(true) }))
}

struct StdoutWriter {
    encoder: Encoder,
    outlet: Outlet<Stdout>,
    tally: Tally,
}

impl Sink for StdoutWriter {
    fn write(&mut self, events: &EventBatch) -> Result<(), PortError> {
        let _whole_lines = std::io::stdout().lock();
        let room = self.outlet.room()?;
        self.encoder.encode(events, room).map_err(|reason| PortError::fatal(format!("standard output: {reason}")))?;
        self.tally.count(events);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let _whole_lines = std::io::stdout().lock();
        self.outlet.write_out()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.flush()?;
        Ok(Some(self.tally.summary()))
    }
}
