//! How numbers are said to people.

use indicatif::HumanCount;

/// So many of something: `1 event`, `12,000 events`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {one}{plural}", HumanCount(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_said_otherwise_than_many() {
        let said = [0, 1, 2, 12_000].map(|count| counted(count, "dead letter"));
        assert_eq!(said, ["0 dead letters", "1 dead letter", "2 dead letters", "12,000 dead letters"]);
    }
}
