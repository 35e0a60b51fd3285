//! What the sink says of staged rows to its committer: a law of the storage format.
//!
//! The rows themselves are a file in checkpoint storage, in the text format of `COPY`.

use serde::{Deserialize, Serialize};

/// Rows, and where they belong: as the table was found when they were staged, whatever a job document says later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) schema: String,
    pub(super) table: String,
    /// The columns of the rows, in their order.
    pub(super) columns: Vec<String>,
    /// The columns by which rows are known; none: every row is another.
    pub(super) upsert: Vec<String>,
    pub(super) rows: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::versioned;

    #[test]
    fn golden_bytes() {
        let load = Load {
            schema: "public".to_owned(),
            table: "orders".to_owned(),
            columns: vec!["id".to_owned(), "at".to_owned()],
            upsert: vec!["id".to_owned()],
            rows: 7,
        };
        let golden =
            r#"{"version":1,"schema":"public","table":"orders","columns":["id","at"],"upsert":["id"],"rows":7}"#;
        assert_eq!(String::from_utf8_lossy(&versioned::encode(&load)), golden);
        assert_eq!(versioned::decode::<Load>(golden.as_bytes(), "it"), Ok(load));
    }
}
