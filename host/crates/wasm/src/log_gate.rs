//! Log lines of a guest on their way out: cut to a bounded length, and bounded in each second.

use std::sync::Arc;

use gristmill_ports::clock::Clock;
use gristmill_ports::telemetry::{GuestLog, LogLevel};

/// The longest line, in bytes.
pub(crate) const LINE_BYTES: usize = 8 << 10;

/// Lets through so many bytes a second, and counts what it holds back.
pub(crate) struct LogGate {
    log: Arc<dyn GuestLog>,
    clock: Arc<dyn Clock>,
    bytes_per_second: u64,
    second: u64,
    used: u64,
    dropped: u64,
}

impl LogGate {
    /// A gate in front of a log.
    pub(crate) fn new(log: Arc<dyn GuestLog>, clock: Arc<dyn Clock>, bytes_per_second: u64) -> Self {
        Self { log, clock, bytes_per_second, second: 0, used: 0, dropped: 0 }
    }

    /// Passes a line on, if the second's allowance is not used up.
    pub(crate) fn line(&mut self, level: LogLevel, row: Option<u32>, message: &str) {
        let line = cut(message);
        self.turn_second();
        self.used = self.used.saturating_add(line.len() as u64 + 1);
        if self.used > self.bytes_per_second {
            self.dropped += 1;
        } else {
            self.log.line(level, row, line);
        }
    }

    /// Reports lines held back, once their second is over. Costs nothing when there are none.
    pub(crate) fn settle(&mut self) {
        if self.dropped > 0 {
            self.turn_second();
        }
    }

    fn turn_second(&mut self) {
        let now = self.clock.monotonic().as_secs();
        if now != self.second {
            self.second = now;
            self.used = 0;
            self.report_dropped();
        }
    }

    fn report_dropped(&mut self) {
        if self.dropped > 0 {
            self.log.dropped(std::mem::take(&mut self.dropped));
        }
    }
}

impl Drop for LogGate {
    fn drop(&mut self) {
        self.report_dropped();
    }
}

/// The message without what is beyond [`LINE_BYTES`], cut between two characters.
pub(crate) fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(LINE_BYTES)]
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use gristmill_ports::clock::ManualClock;

    use super::*;

    #[derive(Default)]
    struct Heard {
        lines: Mutex<Vec<usize>>,
        dropped: Mutex<Vec<u64>>,
    }

    impl GuestLog for Heard {
        fn line(&self, _: LogLevel, _: Option<u32>, message: &str) {
            self.lines.lock().expect("no panic").push(message.len());
        }
        fn dropped(&self, lines: u64) {
            self.dropped.lock().expect("no panic").push(lines);
        }
    }

    #[test]
    fn a_flood_is_cut_off_in_each_second_and_counted() {
        let (heard, clock) = (Arc::new(Heard::default()), Arc::new(ManualClock::default()));
        let mut gate = LogGate::new(heard.clone(), clock.clone(), 25);
        (0..5).for_each(|_| gate.line(LogLevel::Info, None, "nine byte"));
        assert_eq!(*heard.lines.lock().expect("no panic"), [9, 9]);
        clock.advance(Duration::from_secs(1));
        gate.settle();
        assert_eq!(*heard.dropped.lock().expect("no panic"), [3]);
        gate.line(LogLevel::Info, None, "nine byte");
        assert_eq!(heard.lines.lock().expect("no panic").len(), 3, "a new second, a new allowance");
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        let long = "é".repeat(LINE_BYTES);
        assert_eq!(cut(&long).len(), LINE_BYTES);
        assert_eq!(cut(&format!("x{long}")).len(), LINE_BYTES - 1);
    }
}
