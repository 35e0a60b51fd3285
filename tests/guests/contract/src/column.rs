//! Reading and building the contract's columns: value i is `data[ends[i-1]..ends[i]]`, or null.

use crate::Column;

/// The values in order; `None` is null.
pub fn iter(column: &Column) -> impl Iterator<Item = Option<&[u8]>> {
    let mut start = 0;
    let mut nulls = column.nulls.iter().copied().peekable();
    column.ends.iter().enumerate().map(move |(row, end)| {
        let value = &column.data[start..*end as usize];
        start = *end as usize;
        match nulls.next_if_eq(&(row as u32)) {
            Some(_) => None,
            None => Some(value),
        }
    })
}

/// A column of these values.
///
/// # Panics
/// Above 4 GiB, which a guest's memory does not hold.
pub fn of<V: AsRef<[u8]>>(values: impl IntoIterator<Item = Option<V>>) -> Column {
    let mut column = Column { ends: vec![], data: vec![], nulls: vec![] };
    for value in values {
        match value {
            Some(value) => column.data.extend_from_slice(value.as_ref()),
            None => column.nulls.push(column.ends.len() as u32),
        }
        column.ends.push(column.data.len().try_into().expect("a 32-bit memory holds less"));
    }
    column
}
