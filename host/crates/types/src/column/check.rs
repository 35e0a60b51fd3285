//! The rules of a column's layout, and what is wrong with buffers that break one.

/// What is wrong with a column that somebody handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// `ends` goes backwards.
    #[error("`ends` goes back from {before} to {after} at row {row}")]
    EndsGoBack {
        /// The row whose end lies before its beginning.
        row: usize,
        /// The end of the row before.
        before: u32,
        /// The end of this row.
        after: u32,
    },
    /// The last end is not the length of `data`.
    #[error("the last of `ends` is {end}, but `data` holds {bytes} bytes")]
    EndsMissData {
        /// The last end, or zero.
        end: u32,
        /// Bytes in `data`.
        bytes: usize,
    },
    /// `nulls` is not strictly ascending.
    #[error("`nulls` is not strictly ascending at its place {place}")]
    NullsNotAscending {
        /// Where in `nulls`.
        place: usize,
    },
    /// A null row that does not exist.
    #[error("`nulls` names row {row} of {rows}")]
    NullOutOfRange {
        /// The row named.
        row: u32,
        /// How many rows there are.
        rows: usize,
    },
    /// A null row that has bytes.
    #[error("row {row} is null but has bytes")]
    NullWithBytes {
        /// The row.
        row: u32,
    },
    /// More than `i32::MAX` bytes.
    #[error("`data` holds {bytes} bytes; a column holds at most 2147483647")]
    TooLarge {
        /// Bytes in `data`.
        bytes: usize,
    },
}

/// Checks the ends of values, the number of their bytes, and the rows without a value against each other.
///
/// # Errors
/// The first rule that they break.
pub(super) fn check(ends: &[u32], bytes: usize, nulls: &[u32]) -> Result<(), ColumnError> {
    if bytes > i32::MAX as usize {
        return Err(ColumnError::TooLarge { bytes });
    }
    let last = ends.last().copied().unwrap_or(0);
    if last as usize != bytes {
        return Err(ColumnError::EndsMissData { end: last, bytes });
    }
    if !ends.is_sorted() {
        let row = (1..ends.len()).find(|&row| ends[row] < ends[row - 1]).expect("not sorted, so a pair descends");
        return Err(ColumnError::EndsGoBack { row, before: ends[row - 1], after: ends[row] });
    }
    check_nulls(ends, nulls)
}

fn check_nulls(ends: &[u32], nulls: &[u32]) -> Result<(), ColumnError> {
    for (place, &row) in nulls.iter().enumerate() {
        if place > 0 && nulls[place - 1] >= row {
            return Err(ColumnError::NullsNotAscending { place });
        }
        let at = row as usize;
        if at >= ends.len() {
            return Err(ColumnError::NullOutOfRange { row, rows: ends.len() });
        }
        let start = if at == 0 { 0 } else { ends[at - 1] };
        if ends[at] != start {
            return Err(ColumnError::NullWithBytes { row });
        }
    }
    Ok(())
}
