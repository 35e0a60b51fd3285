//! `gristmill:operator/log`: lines go out at once, whatever becomes of the call.

use gristmill_ports::telemetry::LogLevel;

use crate::bindings::log::{Host, Level};
use crate::guest_data::GuestData;

impl Host for GuestData {
    fn write(&mut self, level: Level, row: Option<u32>, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        self.log().line(level, row, &message);
        Ok(())
    }
}
