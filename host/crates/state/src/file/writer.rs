//! Writes a file of state, block by block.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use gristmill_checkpoint::StateFile;
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::{FileStore, PortError};
use gristmill_types::{KeyGroup, KeyGroupRange};
use tempfile::NamedTempFile;
use zstd::bulk::Compressor;

use super::codec::{self, BlockAt, Footer};
use super::entry::Entry;

/// A block is closed when its entries take this much. Small enough to be read for one key group, large enough for the
/// compressor to see repetition.
const BLOCK_BYTES: usize = 64 << 10;

/// The fastest level: beside the sort it hardly shows (`examples/cost.rs`).
const LEVEL: i32 = 1;

/// A file being written, in a local folder; gone if it is dropped before it is stored.
pub(crate) struct FileWriter {
    out: BufWriter<NamedTempFile>,
    offset: u64,
    compressor: Compressor<'static>,
    stored: Vec<u8>,
    block: Vec<u8>,
    /// State, key group and entries of the block being filled, as far as it has any.
    begun: Option<BlockAt>,
    /// The last entry's owner.
    last: Option<(u32, KeyGroup)>,
    last_key: Vec<u8>,
    index: Vec<u8>,
    blocks: u32,
    entries: u64,
    groups: Option<(u16, u16)>,
}

fn failed(folder: &Path) -> impl Fn(io::Error) -> PortError {
    move |error| {
        let folder = folder.display();
        PortError::retry(format!("cannot write a file of state in `{folder}`: {error}; make room or mend the folder"))
    }
}

impl FileWriter {
    /// Begins a file in this folder.
    ///
    /// # Errors
    /// `Retry` if the folder cannot be written to.
    pub(crate) fn create(folder: &Path) -> Result<Self, PortError> {
        let begin = || {
            let mut out = BufWriter::with_capacity(1 << 18, NamedTempFile::with_prefix_in("state-", folder)?);
            out.write_all(&codec::header())?;
            Ok(Self {
                out,
                offset: codec::HEADER_BYTES as u64,
                compressor: Compressor::new(LEVEL)?,
                stored: Vec::new(),
                block: Vec::with_capacity(BLOCK_BYTES + 256),
                begun: None,
                last: None,
                last_key: Vec::new(),
                index: Vec::new(),
                blocks: 0,
                entries: 0,
                groups: None,
            })
        };
        begin().map_err(failed(folder))
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// As for [`Self::create`].
    ///
    /// # Panics
    /// If a debug build meets entries out of order.
    pub(crate) fn push(&mut self, entry: &Entry<'_>) -> Result<(), PortError> {
        let last = self.last.map(|(state, group)| (state, group, self.last_key.as_slice()));
        debug_assert!(last <= Some(entry.owner()), "entries come in order");
        codec::push_entry(&mut self.block, entry, last.filter(|_| self.begun.is_some()));
        let at = BlockAt { state: entry.state, group: entry.group, offset: self.offset, entries: 0 };
        self.begun.get_or_insert(at).entries += 1;
        if last != Some(entry.owner()) {
            self.last = Some((entry.state, entry.group));
            self.last_key.clear();
            self.last_key.extend_from_slice(entry.key);
        }
        let (first, end) = self.groups.unwrap_or((u16::MAX, 0));
        self.groups = Some((first.min(entry.group.0), end.max(entry.group.0 + 1)));
        self.entries += 1;
        if self.block.len() >= BLOCK_BYTES { self.end_block().map_err(|error| self.failed(error)) } else { Ok(()) }
    }

    fn failed(&self, error: io::Error) -> PortError {
        failed(self.out.get_ref().path().parent().unwrap_or(Path::new("")))(error)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let Some(block) = self.begun.take() else { return Ok(()) };
        self.stored.clear();
        self.stored.reserve(zstd::zstd_safe::compress_bound(self.block.len()));
        self.compressor.compress_to_buffer(&self.block, &mut self.stored)?;
        let stored = if self.stored.len() < self.block.len() { &self.stored } else { &self.block };
        self.out.write_all(&codec::block_header(stored, self.block.len()))?;
        self.out.write_all(stored)?;
        self.offset += (codec::BLOCK_HEADER_BYTES + stored.len()) as u64;
        block.encode(&mut self.index);
        self.blocks += 1;
        self.block.clear();
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.end_block()?;
        self.out.write_all(&self.index)?;
        let footer = Footer {
            index_offset: self.offset,
            blocks: self.blocks,
            index_crc: crc32c::crc32c(&self.index),
            entries: self.entries,
            groups: self.groups.unwrap_or_default(),
        };
        self.out.write_all(&footer.encode())?;
        self.out.flush()
    }

    /// Ends the file and stores it; nothing is stored if it has no entry.
    ///
    /// # Errors
    /// As for [`Self::create`], and those of the store.
    pub(crate) fn store(mut self, files: &dyn FileStore) -> Result<Option<StateFile>, PortError> {
        let Some((start, end)) = self.groups else { return Ok(None) };
        self.end().map_err(|error| self.failed(error))?;
        fail::fail_point!("state-file-written");
        let file = files.put(Content::File(self.out.get_ref().path()))?;
        fail::fail_point!("state-file-stored");
        Ok(Some(StateFile { file, entries: self.entries, groups: KeyGroupRange { start, end } }))
    }
}
