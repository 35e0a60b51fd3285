//! What one read may hand over: a page that a scan fills, or a column of values, within its bound.

use gristmill_ports::state::{ScanPage, StateError};
use gristmill_types::Column;

/// What an entry costs beside its bytes: its ends in two columns. Otherwise a million empty entries would fit any bound.
const ENTRY_BYTES: usize = 8;

/// Bytes that one read hands over. A guest may ask for one large value a thousand times, or for a page of 4 GiB; above
/// every limit of the Wasm floor, a last bound; a caller that can take in less says so.
pub(crate) const MAX_READ_BYTES: usize = 256 << 20;

/// The column of these values; `bytes` is the sum of their lengths.
///
/// # Errors
/// If they take more than `limit` bytes; nothing is copied then.
pub(crate) fn column_of<'v>(
    limit: usize,
    bytes: usize,
    values: impl ExactSizeIterator<Item = Option<&'v [u8]>>,
) -> Result<Column, StateError> {
    if bytes > limit {
        return Err(StateError::ReadTooLarge { limit });
    }
    let mut column = Column::with_capacity(values.len(), bytes);
    values.for_each(|value| column.push(value));
    Ok(column)
}

/// A page under way.
pub(crate) struct PageBuilder {
    page: ScanPage,
    room: usize,
}

impl PageBuilder {
    pub(crate) fn new(max_bytes: u32) -> Self {
        Self { page: ScanPage::default(), room: MAX_READ_BYTES.min(max_bytes as usize) }
    }

    /// Adds an entry and says so, unless the page is full. The first entry always fits.
    pub(crate) fn add(&mut self, key: Option<&[u8]>, value: &[u8]) -> bool {
        let cost = key.map_or(0, <[u8]>::len) + value.len() + ENTRY_BYTES;
        if cost > self.room && !self.page.values.is_empty() {
            return false;
        }
        self.room = self.room.saturating_sub(cost);
        if key.is_some() {
            self.page.keys.push(key);
        }
        self.page.values.push(Some(value));
        true
    }

    /// The page, all entries being on it.
    pub(crate) fn last(self) -> ScanPage {
        self.page
    }

    /// The page; the next one begins after its last key.
    pub(crate) fn more_after_last_key(mut self) -> ScanPage {
        let last = self.page.keys.len().checked_sub(1);
        self.page.next = last.map(|row| self.page.keys.bytes_of(row).to_vec());
        self.page
    }

    /// The page; the next one begins at this item of the list.
    pub(crate) fn more_from_item(mut self, item: u64) -> ScanPage {
        self.page.next = Some(item.to_be_bytes().to_vec());
        self.page
    }
}

/// Where a scan of a list begins: the item named by the cursor.
///
/// # Errors
/// If no list scan can have given this cursor.
pub(crate) fn first_item(cursor: Option<&[u8]>) -> Result<u64, StateError> {
    match cursor.map(<[u8; 8]>::try_from) {
        None => Ok(0),
        Some(Ok(item)) => Ok(u64::from_be_bytes(item)),
        Some(Err(_)) => Err(StateError::StrangeCursor),
    }
}
