//! Reads a file of state in order, one block at a time in memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use gristmill_ports::PortError;
use gristmill_types::{KeyGroup, KeyGroupRange};
use zstd::bulk::Decompressor;

use super::codec::{self, BLOCK_HEADER_BYTES, BlockAt, FOOTER_BYTES, Footer, INDEX_ENTRY_BYTES, NoFooter};
use super::entry::{Change, Entry, Place, Stored};

/// Bytes that one block may claim to have: one entry of at most 2 GiB, and what lies beside it.
const MAX_BLOCK_BYTES: usize = (2 << 30) + (1 << 20);

/// The entries of some key groups of a file, in order. Begins before the first entry.
pub(crate) struct FileReader {
    file: File,
    name: String,
    index: Vec<BlockAt>,
    index_offset: u64,
    groups: KeyGroupRange,
    next_block: usize,
    stored: Vec<u8>,
    block: Vec<u8>,
    decompressor: Decompressor<'static>,
    /// Where the next entry begins in the block.
    next: usize,
    current: Option<Current>,
}

/// The entry at hand: where its parts lie in the block.
#[derive(Debug, Clone)]
struct Current {
    state: u32,
    group: KeyGroup,
    key: Range<usize>,
    version: u32,
    change: Spans,
}

/// A [`Change`] with places instead of bytes.
#[derive(Debug, Clone)]
enum Spans {
    PutValue(Span),
    DeleteValue,
    ClearList,
    Item(u64, Span),
    ClearMap,
    PutEntry(Range<usize>, Span),
    DeleteEntry(Range<usize>),
}

#[derive(Debug, Clone)]
struct Span {
    written: Option<i64>,
    bytes: Range<usize>,
}

impl FileReader {
    /// Opens a file. `name` is what errors call it.
    ///
    /// # Errors
    /// `Retry` if it cannot be read; `Fatal` if it is damaged or from a newer host.
    pub(crate) fn open(path: &Path, name: String, groups: KeyGroupRange) -> Result<Self, PortError> {
        let file = File::open(path).map_err(|error| unreadable(&name, &error))?;
        let length = file.metadata().map_err(|error| unreadable(&name, &error))?.len();
        let footer = read_footer(&file, &name, length)?;
        let index = read_index(&file, &name, length, &footer)?;
        let decompressor = Decompressor::new().map_err(|error| unreadable(&name, &error))?;
        Ok(Self {
            file,
            name,
            index,
            index_offset: footer.index_offset,
            groups,
            next_block: 0,
            stored: Vec::new(),
            block: Vec::new(),
            decompressor,
            next: 0,
            current: None,
        })
    }

    /// Goes to the next entry of the key groups. `false` behind the last one.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) fn advance(&mut self) -> Result<bool, PortError> {
        loop {
            if self.next == self.block.len() && !self.load_block()? {
                self.current = None;
                return Ok(false);
            }
            self.step()?;
            if self.current.as_ref().is_some_and(|current| self.groups.contains(current.group)) {
                return Ok(true);
            }
        }
    }

    /// The entry at hand.
    #[inline]
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        let current = self.current.as_ref()?;
        let bytes = |span: &Range<usize>| &self.block[span.clone()];
        let stored = |span: &Span| Stored { written: span.written, bytes: bytes(&span.bytes) };
        let change = match &current.change {
            Spans::PutValue(span) => Change::PutValue(stored(span)),
            Spans::DeleteValue => Change::DeleteValue,
            Spans::ClearList => Change::ClearList,
            Spans::Item(index, span) => Change::Item(*index, stored(span)),
            Spans::ClearMap => Change::ClearMap,
            Spans::PutEntry(name, span) => Change::PutEntry(bytes(name), stored(span)),
            Spans::DeleteEntry(name) => Change::DeleteEntry(bytes(name)),
        };
        let Current { state, group, version, .. } = *current;
        Some(Entry { state, group, key: bytes(&current.key), version, change })
    }

    /// Whose state the entry at hand is.
    #[inline]
    pub(crate) fn owner(&self) -> Option<(u32, KeyGroup, &[u8])> {
        self.current.as_ref().map(|current| (current.state, current.group, &self.block[current.key.clone()]))
    }

    /// Where the entry at hand stands among those of its key.
    #[inline]
    pub(crate) fn place(&self) -> Option<Place<'_>> {
        self.current.as_ref().map(|current| match &current.change {
            Spans::PutValue(_) | Spans::DeleteValue | Spans::ClearList | Spans::ClearMap => Place::Head,
            Spans::Item(index, _) => Place::Item(*index),
            Spans::PutEntry(name, _) | Spans::DeleteEntry(name) => Place::Name(&self.block[name.clone()]),
        })
    }

    /// Parses the entry at `next`.
    fn step(&mut self) -> Result<(), PortError> {
        let before = self.current.as_ref().filter(|_| self.next > 0);
        let before = before.map(|current| (current.state, current.group, &self.block[current.key.clone()]));
        let mut rest = &self.block[self.next..];
        let Some(entry) = codec::take_entry(&mut rest, before) else {
            return Err(self.damaged("an entry makes no sense"));
        };
        let start = self.block.as_ptr().addr();
        let span = |part: &[u8]| (part.as_ptr().addr() - start)..(part.as_ptr().addr() - start + part.len());
        let stored = |stored: Stored<'_>| Span { written: stored.written, bytes: span(stored.bytes) };
        let change = match entry.change {
            Change::PutValue(value) => Spans::PutValue(stored(value)),
            Change::DeleteValue => Spans::DeleteValue,
            Change::ClearList => Spans::ClearList,
            Change::Item(index, value) => Spans::Item(index, stored(value)),
            Change::ClearMap => Spans::ClearMap,
            Change::PutEntry(name, value) => Spans::PutEntry(span(name), stored(value)),
            Change::DeleteEntry(name) => Spans::DeleteEntry(span(name)),
        };
        let (state, group, version) = (entry.state, entry.group, entry.version);
        let current = Current { state, group, key: span(entry.key), version, change };
        self.next = self.block.len() - rest.len();
        self.current = Some(current);
        Ok(())
    }

    /// Loads the next block that may have entries of the key groups.
    fn load_block(&mut self) -> Result<bool, PortError> {
        while self.next_block < self.index.len() {
            let number = self.next_block;
            self.next_block += 1;
            if self.may_hold(number) {
                self.read_block(number)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A block reaches up to where the next one begins.
    fn may_hold(&self, number: usize) -> bool {
        let first = self.index[number];
        let begins_below = first.group.0 < self.groups.end;
        match self.index.get(number + 1) {
            Some(next) if next.state == first.state => begins_below && next.group.0 >= self.groups.start,
            Some(_) => true,
            None => true,
        }
    }

    fn read_block(&mut self, number: usize) -> Result<(), PortError> {
        let offset = self.index[number].offset;
        let end = self.index.get(number + 1).map_or(self.index_offset, |next| next.offset);
        let length = end.checked_sub(offset).map(|length| length as usize);
        let Some(length) = length.filter(|length| (BLOCK_HEADER_BYTES..MAX_BLOCK_BYTES).contains(length)) else {
            return Err(self.damaged("the index makes no sense"));
        };
        self.stored.resize(length, 0);
        self.file.read_exact_at(&mut self.stored, offset).map_err(|error| unreadable(&self.name, &error))?;
        let Some((stored, raw)) = codec::open_block(&self.stored).filter(|(_, raw)| (1..MAX_BLOCK_BYTES).contains(raw))
        else {
            return Err(self.damaged("its checksum does not fit its content"));
        };
        self.block.clear();
        if stored.len() == raw {
            self.block.extend_from_slice(stored);
        } else {
            self.block.reserve(raw);
            let got = self.decompressor.decompress_to_buffer(stored, &mut self.block);
            if !got.is_ok_and(|got| got == raw) {
                return Err(self.damaged("it cannot be decompressed"));
            }
        }
        self.next = 0;
        Ok(())
    }

    fn damaged(&self, how: &str) -> PortError {
        let (name, number) = (&self.name, self.next_block.saturating_sub(1));
        let offset = self.index.get(number).map_or(0, |block| block.offset);
        PortError::fatal(format!("state file `{name}` is damaged in block {number}, at byte {offset}: {how}"))
    }
}

fn unreadable(name: &str, error: &io::Error) -> PortError {
    PortError::retry(format!("state file `{name}` cannot be read: {error}"))
}

fn read_footer(file: &File, name: &str, length: u64) -> Result<Footer, PortError> {
    let damaged = || PortError::fatal(format!("state file `{name}` is damaged: it does not end as such a file does"));
    let mut bytes = [0; FOOTER_BYTES];
    let at = length.checked_sub(FOOTER_BYTES as u64).ok_or_else(damaged)?;
    file.read_exact_at(&mut bytes, at).map_err(|error| unreadable(name, &error))?;
    let footer = Footer::decode(&bytes).map_err(|why| match why {
        NoFooter::Damaged => damaged(),
        NoFooter::Newer(found) => PortError::fatal(format!(
            "state file `{name}` has format version {found}; this host reads up to version {}; start a host that knows it",
            codec::VERSION
        )),
    })?;
    let index_bytes = u64::from(footer.blocks) * INDEX_ENTRY_BYTES as u64;
    if footer.index_offset.checked_add(index_bytes) == Some(at) { Ok(footer) } else { Err(damaged()) }
}

fn read_index(file: &File, name: &str, length: u64, footer: &Footer) -> Result<Vec<BlockAt>, PortError> {
    let mut bytes = vec![0; (length - FOOTER_BYTES as u64 - footer.index_offset) as usize];
    file.read_exact_at(&mut bytes, footer.index_offset).map_err(|error| unreadable(name, &error))?;
    let mut header = [0; codec::HEADER_BYTES];
    file.read_exact_at(&mut header, 0).map_err(|error| unreadable(name, &error))?;
    if crc32c::crc32c(&bytes) != footer.index_crc || header[..4] != codec::MAGIC {
        return Err(PortError::fatal(format!("state file `{name}` is damaged in its index or its first bytes")));
    }
    let index: Option<Vec<BlockAt>> = bytes.chunks_exact(INDEX_ENTRY_BYTES).map(BlockAt::decode).collect();
    Ok(index.expect("each part has as many bytes as an index entry takes"))
}
