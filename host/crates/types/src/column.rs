//! A column of byte strings, laid out as the contract (and Arrow) has it.
//!
//! Value `i` is `data[ends[i-1]..ends[i]]` with `ends[-1] = 0`: Arrow's offsets without the leading zero. `nulls` names
//! the rows without a value, ascending; such a row has no bytes. Null is not empty. All buffers are plain vectors, so
//! a column crosses into a guest as three copies of memory.

mod check;

use serde::{Deserialize, Serialize};

pub use check::ColumnError;
use check::check;

/// A column of byte strings or nulls. See the module's documentation for the layout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    ends: Vec<u32>,
    data: Vec<u8>,
    nulls: Vec<u32>,
}

impl Column {
    /// An empty column with room for `rows` rows of `bytes` bytes in all.
    #[must_use]
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { ends: Vec::with_capacity(rows), data: Vec::with_capacity(bytes), nulls: Vec::new() }
    }

    /// A column of `rows` nulls.
    #[must_use]
    pub fn all_null(rows: usize) -> Self {
        Self { ends: vec![0; rows], data: Vec::new(), nulls: (0..rows as u32).collect() }
    }

    /// Values of `width` bytes each, one after the other in `data`.
    ///
    /// # Panics
    /// If `data` does not hold a whole number of values, or more than a column holds; `width` is not zero.
    #[must_use]
    pub fn of_equal_widths(data: Vec<u8>, width: usize) -> Self {
        assert!(data.len().is_multiple_of(width), "{} bytes are no whole number of {width}", data.len());
        let (bytes, width) = (end_of(&data), width as u32);
        Self { ends: (0..bytes / width).map(|row| (row + 1) * width).collect(), data, nulls: Vec::new() }
    }

    /// Checks buffers that came from elsewhere and makes them a column.
    ///
    /// # Errors
    /// The first rule of the layout that they break.
    pub fn from_parts(ends: Vec<u32>, data: Vec<u8>, nulls: Vec<u32>) -> Result<Self, ColumnError> {
        check(&ends, data.len(), &nulls)?;
        Ok(Self { ends, data, nulls })
    }

    /// How many rows.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Ends of the values in `data`.
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The bytes of all values, one after the other.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The rows without a value, ascending.
    #[must_use]
    pub fn nulls(&self) -> &[u32] {
        &self.nulls
    }

    /// The three buffers: `ends`, `data`, `nulls`.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u32>, Vec<u8>, Vec<u32>) {
        (self.ends, self.data, self.nulls)
    }

    /// Bytes that the column takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + 4 * (self.ends.len() + self.nulls.len())
    }

    /// Where the bytes of a row lie in `data`. Empty for a null row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn span(&self, row: usize) -> std::ops::Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        start as usize..self.ends[row] as usize
    }

    /// The bytes of a row; of a null row none.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn bytes_of(&self, row: usize) -> &[u8] {
        &self.data[self.span(row)]
    }

    /// Whether the row is null.
    #[inline]
    #[must_use]
    pub fn is_null(&self, row: usize) -> bool {
        !self.nulls.is_empty() && self.nulls.binary_search(&(row as u32)).is_ok()
    }

    /// The value of a row, `None` for a null.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        if self.is_null(row) { None } else { Some(self.bytes_of(row)) }
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut nulls = self.nulls.iter().copied().peekable();
        (0..self.len()).map(move |row| {
            let null = nulls.next_if_eq(&(row as u32)).is_some();
            (!null).then(|| self.bytes_of(row))
        })
    }

    /// Appends a row.
    ///
    /// # Panics
    /// If the column would hold more than `u32::MAX` bytes; batches are bounded far below.
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => self.data.extend_from_slice(bytes),
            None => self.nulls.push(self.ends.len() as u32),
        }
        self.ends.push(end_of(&self.data));
    }

    /// Appends every row of another column.
    ///
    /// # Panics
    /// If the column would hold more than `u32::MAX` bytes, as for [`Self::push`].
    pub fn append(&mut self, other: &Self) {
        let (rows, base) = (self.ends.len() as u32, self.append_bytes(&other.data));
        self.ends.extend(other.ends.iter().map(|end| end + base));
        self.nulls.extend(other.nulls.iter().map(|row| row + rows));
    }

    /// Rows `range` as a column of their own.
    ///
    /// # Panics
    /// If the range reaches past the last row.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let base = if range.start == 0 { 0 } else { self.ends[range.start - 1] };
        let ends: Vec<u32> = self.ends[range.clone()].iter().map(|end| end - base).collect();
        let bytes = ends.last().copied().unwrap_or(0);
        let first = self.nulls.partition_point(|&row| (row as usize) < range.start);
        let last = self.nulls.partition_point(|&row| (row as usize) < range.end);
        Self {
            data: self.data[base as usize..(base + bytes) as usize].to_vec(),
            nulls: self.nulls[first..last].iter().map(|row| row - range.start as u32).collect(),
            ends,
        }
    }

    /// The given rows, in the given order, as a column of their own. Rows may repeat.
    ///
    /// # Panics
    /// If a row does not exist, or the rows have more than `u32::MAX` bytes, as they may where they repeat.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Self {
        let mut gathered = Self { ends: Vec::with_capacity(rows.len()), data: Vec::new(), nulls: Vec::new() };
        if !self.data.is_empty() {
            let mean = self.data.len() / self.ends.len() + 1;
            gathered.data.reserve(mean * rows.len());
        }
        let mut from = 0;
        while from < rows.len() {
            let until = run_end(rows, from);
            gathered.append_run(self, rows[from] as usize, until - from);
            from = until;
        }
        if !self.nulls.is_empty() {
            gathered.nulls = (0..rows.len() as u32).filter(|&row| self.is_null(rows[row as usize] as usize)).collect();
        }
        gathered
    }

    /// Appends bytes that have no ends yet, and says where they begin. An end among them fits when this returns.
    #[inline]
    fn append_bytes(&mut self, bytes: &[u8]) -> u32 {
        let base = end_of(&self.data);
        self.data.extend_from_slice(bytes);
        end_of(&self.data);
        base
    }

    /// Appends the bytes and ends of `count` consecutive rows of `source` as one copy.
    #[inline]
    fn append_run(&mut self, source: &Self, first: usize, count: usize) {
        let start = if first == 0 { 0 } else { source.ends[first - 1] };
        let ends = &source.ends[first..first + count];
        let base = self.append_bytes(&source.data[start as usize..ends[count - 1] as usize]);
        self.ends.extend(ends.iter().map(|end| base + (end - start)));
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for Column {
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(values: I) -> Self {
        let mut column = Self::default();
        values.into_iter().for_each(|value| column.push(value));
        column
    }
}

#[inline]
fn end_of(data: &[u8]) -> u32 {
    u32::try_from(data.len()).expect("a batch is bounded far below 4 GiB")
}

/// Where the run of consecutive rows that begins at `from` ends.
#[inline]
fn run_end(rows: &[u32], from: usize) -> usize {
    let mut until = from + 1;
    while until < rows.len() && rows[until] == rows[until - 1].wrapping_add(1) {
        until += 1;
    }
    until
}

#[cfg(test)]
mod tests;
