//! Cuts a stream of bytes into lines, wherever its blocks begin and end.
//!
//! A line ends with a line feed, which a carriage return may precede; the last may end with the stream. A byte order
//! mark before the first line is dropped. A line longer than the bound is given by its beginning and skipped. Reads
//! nothing itself: files and sockets fill the buffer.

use std::ops::Range;

/// How much is read at once.
const BLOCK: usize = 256 << 10;

/// What is kept of a line that is too long.
const HEAD: usize = 64 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Where it stands in [`LineBuffer::bytes`].
    Whole(Range<usize>),
    /// Longer than the bound; where its beginning stands.
    TooLong(Range<usize>),
}

/// Bytes that came in and are not lines yet. Holds at most the longest line and a block.
pub(crate) struct LineBuffer {
    buffer: Vec<u8>,
    /// Where in the stream the buffer begins.
    base: u64,
    /// The first byte that was not given out.
    start: usize,
    /// No line feed stands between `start` and here.
    searched: usize,
    /// The last byte that came in.
    end: usize,
    longest: usize,
    /// Within a line that was given out as too long.
    skipping: bool,
    at_beginning: bool,
    ended: bool,
}

impl LineBuffer {
    /// A buffer for lines of at most `longest` bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self::at(longest, 0, false)
    }

    /// A buffer for what follows this place of a stream, which lies within a line that was given as too long, or behind
    /// a whole one.
    pub(crate) fn at(longest: usize, offset: u64, within_a_long_line: bool) -> Self {
        Self {
            buffer: vec![0; BLOCK],
            base: offset,
            start: 0,
            searched: 0,
            end: 0,
            longest,
            skipping: within_a_long_line,
            at_beginning: offset == 0,
            ended: false,
        }
    }

    /// Where in the stream that stands which was not given out, and whether it lies within a line that was given as too
    /// long.
    pub(crate) fn offset(&self) -> (u64, bool) {
        (self.base + self.start as u64, self.skipping)
    }

    /// Room for the next block. Give it to a reader, then say with [`Self::filled`] how much came.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        let wanted = self.end + BLOCK / 2;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted.next_power_of_two(), 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes came; none means that the stream has ended.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.end += bytes;
        self.ended = bytes == 0;
    }

    /// The bytes that lines refer to, until the next call of [`Self::room`].
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The next line. `None`: fill the buffer, or, if the stream has ended, there is none.
    pub(crate) fn next_line(&mut self) -> Option<Line> {
        self.drop_byte_order_mark();
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.searched..self.end]).map(|at| self.searched + at);
            let (line, next) = match found {
                Some(feed) => (self.start..feed, feed + 1),
                // One byte more might be the carriage return of a line that fits.
                None if self.end - self.start > self.longest + 1 => (self.start..self.end, self.end),
                None if self.ended && self.start < self.end => (self.start..self.end, self.end),
                None => {
                    self.searched = self.end;
                    return None;
                }
            };
            (self.start, self.searched) = (next, next);
            let rest_of_a_long_one = std::mem::replace(&mut self.skipping, found.is_none() && !self.ended);
            if !rest_of_a_long_one {
                return Some(self.judge(line));
            }
        }
    }

    /// Whether the stream has ended; what it left was given out when [`Self::next_line`] says `None`.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes a line back, so that it comes again. Only for the line given last.
    pub(crate) fn put_back(&mut self, line: &Line) {
        let (Line::Whole(range) | Line::TooLong(range)) = line;
        (self.start, self.searched, self.skipping) = (range.start, range.start, false);
    }

    /// Why a line is too long, in words.
    pub(crate) fn too_long(&self) -> String {
        format!("the line is longer than {} bytes; only its beginning is kept", self.longest)
    }

    /// The beginning of a line whose end will not come, since the stream broke.
    pub(crate) fn unfinished(&self) -> Option<&[u8]> {
        let rest = &self.buffer[self.start..self.end];
        (!rest.is_empty() && !self.skipping).then(|| &rest[..rest.len().min(HEAD)])
    }

    fn judge(&self, mut line: Range<usize>) -> Line {
        if line.len() > self.longest + 1 {
            return Line::TooLong(line.start..line.start + HEAD.min(self.longest));
        }
        if self.buffer[line.clone()].ends_with(b"\r") {
            line.end -= 1;
        }
        if line.len() > self.longest {
            return Line::TooLong(line.start..line.start + HEAD.min(self.longest));
        }
        Line::Whole(line)
    }

    fn drop_byte_order_mark(&mut self) {
        if self.at_beginning && (self.end >= BYTE_ORDER_MARK.len() || self.ended) {
            self.at_beginning = false;
            if self.buffer[..self.end].starts_with(BYTE_ORDER_MARK) {
                (self.start, self.searched) = (BYTE_ORDER_MARK.len(), BYTE_ORDER_MARK.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of a stream that comes in these blocks; too long ones by their beginning.
    fn lines<'a>(blocks: impl IntoIterator<Item = &'a [u8]>, longest: usize) -> Vec<Result<Vec<u8>, Vec<u8>>> {
        lines_of(LineBuffer::new(longest), blocks)
    }

    fn lines_of<'a>(
        mut buffer: LineBuffer,
        blocks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<Result<Vec<u8>, Vec<u8>>> {
        let mut lines = Vec::new();
        for block in blocks.into_iter().filter(|block| !block.is_empty()).chain([&b""[..]]) {
            for part in block.chunks(BLOCK / 4).chain(block.is_empty().then_some(block)) {
                buffer.room()[..part.len()].copy_from_slice(part);
                buffer.filled(part.len());
                while let Some(line) = buffer.next_line() {
                    lines.push(match line {
                        Line::Whole(range) => Ok(buffer.bytes()[range].to_vec()),
                        Line::TooLong(range) => Err(buffer.bytes()[range].to_vec()),
                    });
                }
            }
        }
        lines
    }

    fn texts(stream: &str, longest: usize) -> Vec<String> {
        let text = |line: Result<Vec<u8>, Vec<u8>>| match line {
            Ok(line) => String::from_utf8(line).expect("utf-8"),
            Err(head) => format!("too long: {}", String::from_utf8(head).expect("utf-8")),
        };
        lines([stream.as_bytes()], longest).into_iter().map(text).collect()
    }

    #[test]
    fn ends_of_lines_and_of_the_stream_are_no_part_of_a_line() {
        let table = [
            ("", vec![]),
            ("\n", vec![""]),
            ("a", vec!["a"]),
            ("a\nb\n", vec!["a", "b"]),
            ("a\r\nb\r\n\r\nc\rd", vec!["a", "b", "", "c\rd"]),
            ("\u{feff}a\n\u{feff}b", vec!["a", "\u{feff}b"]),
            ("\u{feff}", vec![]),
        ];
        for (stream, wanted) in table {
            assert_eq!(texts(stream, 10), wanted, "{stream:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_up_to_the_next() {
        assert_eq!(texts("12345\n123456\r\n12345\r\nx", 5), ["12345", "too long: 12345", "12345", "x"]);
        let long = "y".repeat(3 * BLOCK);
        let texts = texts(&format!("a\n{long}\nb\n{long}"), BLOCK);
        assert_eq!(texts.iter().map(String::len).collect::<Vec<_>>(), [1, 10 + HEAD, 1, 10 + HEAD]);
    }

    #[test]
    fn a_line_that_is_put_back_comes_again() {
        let mut buffer = LineBuffer::new(5);
        buffer.room()[..12].copy_from_slice(b"a\nlong line\n");
        buffer.filled(12);
        for wanted in [Line::Whole(0..1), Line::TooLong(2..7)] {
            let line = buffer.next_line().expect("a line");
            assert_eq!(line, wanted);
            buffer.put_back(&line);
            assert_eq!(buffer.next_line(), Some(line));
        }
        assert_eq!(buffer.next_line(), None);
    }

    #[test]
    fn a_stream_can_be_gone_on_with_at_every_line() {
        let stream = "\u{feff}a\n\nlong line\nb\nlong line";
        let whole = lines([stream.as_bytes()], 5);
        let mut buffer = LineBuffer::new(5);
        buffer.room()[..stream.len()].copy_from_slice(stream.as_bytes());
        buffer.filled(stream.len());
        let mut offsets = Vec::new();
        while buffer.next_line().is_some() {
            offsets.push(buffer.offset());
        }
        // The last is given before its end is known.
        assert_eq!(offsets, [(5, false), (6, false), (16, false), (18, false), (27, true)]);
        for (given, (offset, within)) in offsets.into_iter().enumerate() {
            let rest = &stream.as_bytes()[offset as usize..];
            assert_eq!(lines_of(LineBuffer::at(5, offset, within), [rest]), whole[given + 1..], "{offset}");
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_blocks(
            stream in "(\u{feff})?([ab\n\r]|\r\n|\n){0,60}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            longest in 1..9_usize,
        ) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let blocks = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            let plain = stream.strip_prefix('\u{feff}').unwrap_or(&stream);
            let mut wanted: Vec<_> = plain.split('\n').collect();
            if wanted.last() == Some(&"") {
                wanted.pop();
            }
            let wanted: Vec<_> = wanted.into_iter().map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
            let whole = |line: &Result<Vec<u8>, Vec<u8>>| line.clone().ok();
            let cut: Vec<_> = lines(blocks, longest).iter().map(whole).collect();
            let short = wanted.iter().map(|line| (line.len() <= longest).then(|| line.as_bytes().to_vec()));
            prop_assert_eq!(cut, short.collect::<Vec<_>>());
        }
    }
}
