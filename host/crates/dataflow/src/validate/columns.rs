//! What is wrong with the columns of an encoding.

use crate::document::{ColumnType, Encode, ParquetColumn};
use crate::json_path::FixedPath;
use crate::problem::Problem;

/// What a column may hold that is not in the value.
const KEY: &str = "$key";
const EVENT_TIME: &str = "$event_time";

/// Checks how a sink writes; `at` is the place of its `encode`.
pub(super) fn encoding(at: &str, encode: &Encode, problems: &mut Vec<Problem>) {
    match encode {
        Encode::JsonLines | Encode::JsonEnvelope => {}
        Encode::Csv(csv) => {
            let hint = "name them with their paths, such as `columns: {id: $.id, at: $event_time}`";
            some(&format!("{at}.csv.columns"), csv.columns.len(), hint, problems);
            for (name, path) in &csv.columns {
                place(&format!("{at}.csv.columns.{name}"), path, problems);
            }
        }
        Encode::Parquet(parquet) => {
            let at = format!("{at}.parquet.columns");
            let hint = "name them with their paths and types, such as `columns: {id: {path: $.id, type: int64}}`";
            some(&at, parquet.columns.len(), hint, problems);
            for (name, column) in &parquet.columns {
                let at = format!("{at}.{name}");
                place(&format!("{at}.path"), &column.path, problems);
                fits(&at, column, problems);
            }
        }
    }
}

/// There must be columns.
pub(super) fn some(at: &str, columns: usize, hint: &str, problems: &mut Vec<Problem>) {
    if columns == 0 {
        problems.push(Problem::error(at, "the rows have no columns").hint(hint.to_owned()));
    }
}

/// Checks what a column is filled from.
pub(super) fn place(at: &str, path: &str, problems: &mut Vec<Problem>) {
    if [KEY, EVENT_TIME].contains(&path) {
        return;
    }
    if let Err(error) = FixedPath::parse(path) {
        let message = format!("`{path}` {}", error.message);
        problems.push(Problem::error(at, message).hint(error.hint));
    }
}

/// Checks the type of what is not in the value.
fn fits(at: &str, column: &ParquetColumn, problems: &mut Vec<Problem>) {
    let fitting: &[ColumnType] = match column.path.as_str() {
        KEY => &[ColumnType::String],
        EVENT_TIME => &[ColumnType::Timestamp, ColumnType::Int64],
        _ => return,
    };
    if !fitting.contains(&column.column_type()) {
        let (message, hint) = match column.path.as_str() {
            KEY => ("a key is text", "write `type: string`, or leave it out"),
            _ => ("event time is a point in time", "write `type: timestamp` or `type: int64`, or leave it out"),
        };
        problems.push(Problem::error(format!("{at}.type"), message).hint(hint.to_owned()));
    }
}
