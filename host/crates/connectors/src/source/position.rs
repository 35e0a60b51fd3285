//! Positions as bytes: a version of the connector's own, then numbers, little endian.
//!
//! A law of the checkpoint format: a version that was written is read for ever. Knows no connector.

use gristmill_checkpoint::SplitPosition;
use gristmill_ports::PortError;
use gristmill_types::NodeId;

/// A position that is being written.
pub(super) struct PositionWriter(Vec<u8>);

impl PositionWriter {
    pub(super) fn new(version: u8) -> Self {
        Self(vec![version])
    }

    pub(super) fn u8(mut self, number: u8) -> Self {
        self.0.push(number);
        self
    }

    pub(super) fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn i64(self, number: i64) -> Self {
        self.u64(number.cast_unsigned())
    }

    /// The position of this split.
    pub(super) fn of(self, split: impl Into<String>) -> SplitPosition {
        SplitPosition { split: split.into(), position: self.0 }
    }
}

/// The numbers of a position, in the order in which they were written. `None`: there are no more.
pub(super) struct PositionReader<'a>(&'a [u8]);

impl PositionReader<'_> {
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.u64().map(u64::cast_signed)
    }

    fn take<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

/// Reads a position whose newest version is `known`; all of it, or it is none.
///
/// # Errors
/// `Fatal` if it was written by a newer host, or makes no sense.
pub(super) fn read_position<T>(
    node: &NodeId,
    position: &SplitPosition,
    known: u8,
    read: impl FnOnce(&mut PositionReader<'_>) -> Option<T>,
) -> Result<T, PortError> {
    let split = &position.split;
    if let Some(&found) = position.position.first().filter(|version| **version > known) {
        return Err(PortError::fatal(format!(
            "source `{node}`: the position of `{split}` has version {found}, and this host reads up to version {known}; \
             start a host that knows it"
        )));
    }
    let mut numbers = PositionReader(position.position.get(1..).unwrap_or_default());
    let value = read(&mut numbers).filter(|_| numbers.0.is_empty() && position.position.first() == Some(&known));
    value.ok_or_else(|| {
        PortError::fatal(format!(
            "source `{node}`: the {} bytes of the position of `{split}` are none that this source writes; was another \
             kind of source under this id? give this one an id of its own",
            position.position.len()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_cannot_be_read_is_a_sentence() {
        let node: NodeId = "orders".parse().expect("an id");
        let read = |position: &[u8]| {
            let position = SplitPosition { split: "a.csv".to_owned(), position: position.to_vec() };
            read_position(&node, &position, 1, |numbers| numbers.u32()).map_err(|error| error.message)
        };
        let written = PositionWriter::new(1).u32(7).of("a.csv").position;
        assert_eq!((written.as_slice(), read(&written)), (&[1, 7, 0, 0, 0][..], Ok(7)));
        assert!(read(&[2, 7]).expect_err("newer").contains("has version 2, and this host reads up to version 1"));
        for damaged in [&[][..], &[0, 7, 0, 0, 0], &[1, 7, 0, 0], &[1, 7, 0, 0, 0, 0]] {
            let error = read(damaged).expect_err("damaged");
            assert!(error.contains("source `orders`") && error.contains("of the position of `a.csv`"), "{error}");
        }
    }
}
