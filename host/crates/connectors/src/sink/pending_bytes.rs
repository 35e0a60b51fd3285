//! Bytes on their way out of the host: whatever a writer does not take at once is kept for the next try.
//!
//! That is what makes a sink's `Retry` safe: bytes that were taken over are written once, in order, however often the
//! disk is full. Knows nothing of events.

use std::io::{ErrorKind, Write};

use gristmill_ports::PortError;

/// Bytes that may wait here before they are written.
const ENOUGH: usize = 1 << 20;

/// A writer, and the bytes that it did not take yet.
pub(super) struct PendingBytes<W> {
    writer: W,
    bytes: Vec<u8>,
    /// How many of these bytes were written.
    done: usize,
    /// What is written to, for messages.
    name: String,
}

impl<W: Write> PendingBytes<W> {
    pub(super) fn new(writer: W, name: String) -> Self {
        Self { writer, bytes: Vec::new(), done: 0, name }
    }

    /// Room for more bytes. Writes first if many wait, so that they stay bounded.
    ///
    /// # Errors
    /// `Retry` or `Fatal` if the writer takes none; then nothing may be added.
    pub(super) fn room(&mut self) -> Result<&mut Vec<u8>, PortError> {
        if self.bytes.len() >= ENOUGH {
            self.write_out()?;
        }
        Ok(&mut self.bytes)
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// `Retry` if the disk is full, `Fatal` for what does not pass.
    pub(super) fn write_out(&mut self) -> Result<(), PortError> {
        while self.done < self.bytes.len() {
            match self.writer.write(&self.bytes[self.done..]) {
                Ok(0) => return Err(self.error(&ErrorKind::WriteZero.into())),
                Ok(count) => self.done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(&error)),
            }
        }
        self.bytes.clear();
        self.done = 0;
        self.writer.flush().map_err(|error| self.error(&error))
    }

    pub(super) fn writer(&mut self) -> &mut W {
        &mut self.writer
    }

    /// The error in words.
    pub(super) fn error(&self, error: &std::io::Error) -> PortError {
        in_words(&self.name, error)
    }
}

/// An error of writing `name` in words, and whether it may pass.
pub(super) fn in_words(name: &str, error: &std::io::Error) -> PortError {
    match error.kind() {
        ErrorKind::BrokenPipe => PortError::fatal(format!("{name} was closed by its reader")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            PortError::retry(format!("no room to write {name}: {error}; free some space"))
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ResourceBusy => {
            PortError::retry(format!("cannot write {name} now: {error}"))
        }
        _ => PortError::fatal(format!("cannot write {name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use gristmill_ports::ErrorKind::{Fatal, Retry};

    use super::*;

    /// A disk that takes a few bytes at a time and is full now and then: hence not the real thing.
    struct FullNowAndThen {
        taken: Vec<u8>,
        script: Vec<io::Result<usize>>,
    }

    impl Write for FullNowAndThen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let bytes = match self.script.pop() {
                Some(answer) => &bytes[..answer?.min(bytes.len())],
                None => bytes,
            };
            self.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_byte_is_written_once_however_often_the_disk_is_full() {
        let full = || Err(ErrorKind::StorageFull.into());
        let script = vec![Ok(4), full(), Ok(1), Err(ErrorKind::Interrupted.into()), Ok(2), full()];
        let mut pending = PendingBytes::new(FullNowAndThen { taken: Vec::new(), script }, "`x`".to_owned());
        pending.room().expect("room").extend_from_slice(b"0123456789");
        let mut tries = 0;
        while let Err(error) = pending.write_out() {
            assert_eq!(error.kind, Retry);
            tries += 1;
        }
        assert_eq!((tries, pending.writer().taken.as_slice()), (2, &b"0123456789"[..]));
        assert!(pending.room().expect("room").is_empty());
    }

    #[test]
    fn an_error_says_whether_it_may_pass() {
        let pending = PendingBytes::new(Vec::new(), "`x`".to_owned());
        for (kind, what) in
            [(ErrorKind::BrokenPipe, Fatal), (ErrorKind::PermissionDenied, Fatal), (ErrorKind::StorageFull, Retry)]
        {
            assert_eq!(pending.error(&kind.into()).kind, what, "{kind}");
        }
    }
}
