//! Log lines. They go out at once, also when the call fails later; the host adds job, operator and time.
//!
//! The line carries the row of the event that is being handled, so that nobody has to print events to find one.

use std::cell::Cell;
use std::fmt::Display;

use crate::host::{self, Level};

thread_local! {
    /// The row being handled; `NO_ROW` between events. Wasm has one thread: there it is a plain global.
    static ROW: Cell<u32> = const { Cell::new(NO_ROW) };
}

const NO_ROW: u32 = u32::MAX;

/// For following single events.
pub fn trace(message: impl Display) {
    write(Level::Trace, &message);
}

/// For finding mistakes.
pub fn debug(message: impl Display) {
    write(Level::Debug, &message);
}

/// For the record.
pub fn info(message: impl Display) {
    write(Level::Info, &message);
}

/// Somebody should look at it some day.
pub fn warn(message: impl Display) {
    write(Level::Warn, &message);
}

/// Somebody should look at it now.
pub fn error(message: impl Display) {
    write(Level::Error, &message);
}

fn write(level: Level, message: &dyn Display) {
    let row = ROW.get();
    host::log(level, (row != NO_ROW).then_some(row), &message.to_string());
}

/// Says which row is being handled from now on.
#[inline]
pub(crate) fn enter_row(row: u32) {
    ROW.set(row);
}

/// Says that no row is being handled.
#[inline]
pub(crate) fn leave_rows() {
    ROW.set(NO_ROW);
}
