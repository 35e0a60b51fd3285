//! Reading and building columns, the contract's lists of byte strings. Knows nothing of events or state.
//!
//! The type is the generated one, so that a column crosses the boundary without being rebuilt; here it gets its methods.

use crate::bindings::gristmill::operator::types::Column;

impl Column {
    /// A column without rows, with room for `rows` rows of `bytes` bytes in all.
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { ends: Vec::with_capacity(rows), data: Vec::with_capacity(bytes), nulls: Vec::new() }
    }

    /// A column without rows.
    pub(crate) const fn empty() -> Self {
        Self { ends: Vec::new(), data: Vec::new(), nulls: Vec::new() }
    }

    /// How many rows.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a row; of a null row none.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub(crate) fn bytes(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.data[start as usize..self.ends[row] as usize]
    }

    /// The value of a row, `None` for a null.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        let null = !self.nulls.is_empty() && self.nulls.binary_search(&(row as u32)).is_ok();
        (!null).then(|| self.bytes(row))
    }

    #[cfg(not(target_arch = "wasm32"))]
    /// All values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Appends a row.
    #[inline]
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => self.data.extend_from_slice(bytes),
            None => self.nulls.push(self.ends.len() as u32),
        }
        self.end_row();
    }

    /// Ends a row whose bytes were appended to `data` directly.
    ///
    /// # Panics
    /// If the column holds 4 GiB; the memory of a guest ends before that.
    #[inline]
    pub(crate) fn end_row(&mut self) {
        self.ends.push(u32::try_from(self.data.len()).expect("a column is smaller than the guest's memory"));
    }

    /// Forgets all rows and keeps the buffers.
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.data.clear();
        self.nulls.clear();
    }

    /// The rows of which `keep` holds, as a column of their own.
    pub(crate) fn filter(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut kept = Self::empty();
        (0..self.len()).filter(|&row| keep(row)).for_each(|row| kept.push(self.get(row)));
        kept
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for Column {
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(values: I) -> Self {
        let mut column = Self::empty();
        values.into_iter().for_each(|value| column.push(value));
        column
    }
}
