//! How numbers are said to people, and what is wrong with a file that they named.

use std::io::ErrorKind;
use std::path::Path;

use indicatif::HumanCount;

/// So many of something: `1 event`, `12,000 events`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {one}{plural}", HumanCount(count))
}

/// So many entries of state.
pub(crate) fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{} entries", HumanCount(count)) }
}

/// Reads a file that somebody named; `what` is it to be, and `advice` says what else to do.
///
/// # Errors
/// Why it cannot be read, in a sentence.
pub(crate) fn read_file(path: &Path, what: &str, advice: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(path, what, &error, advice))
}

/// Why a file that somebody named cannot be read.
pub(crate) fn unreadable(path: &Path, what: &str, error: &std::io::Error, advice: &str) -> anyhow::Error {
    let name = path.display();
    match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("there is no file `{name}`, which is to be the {what}; {advice}"),
        ErrorKind::IsADirectory => anyhow::anyhow!("`{name}` is a folder, and is to be the {what}; {advice}"),
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("this user may not read `{name}`, which is to be the {what}; {advice}")
        }
        _ => anyhow::anyhow!("`{name}`, which is to be the {what}, cannot be read: {error}; {advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_told_in_a_sentence() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = |path: &Path| read_file(path, "crash bundle", "fetch one").expect_err("none").to_string();
        let missing = folder.path().join("no.crash");
        let expected = format!("there is no file `{}`, which is to be the crash bundle; fetch one", missing.display());
        assert_eq!(told(&missing), expected);
        assert!(told(folder.path()).ends_with("is a folder, and is to be the crash bundle; fetch one"));
    }

    #[test]
    fn one_is_said_otherwise_than_many() {
        let said = [0, 1, 2, 12_000].map(|count| counted(count, "dead letter"));
        assert_eq!(said, ["0 dead letters", "1 dead letter", "2 dead letters", "12,000 dead letters"]);
    }
}
