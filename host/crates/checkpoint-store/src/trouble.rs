//! From what the file system reports to what a person can act on, and whether waiting helps.

use std::io::{self, ErrorKind};
use std::path::Path;

use gristmill_ports::PortError;

/// Says what could not be done with which file, why, and what to do about it.
pub(crate) fn cannot(action: &'static str, path: &Path) -> impl Fn(io::Error) -> PortError {
    let path = path.to_owned();
    move |error| {
        let what = format!("cannot {action} `{}`: {error}", path.display());
        match remedy(error.kind()) {
            Remedy::Passes(todo) => PortError::retry(format!("{what}; {todo}")),
            Remedy::Stays(todo) => PortError::fatal(format!("{what}; {todo}")),
        }
    }
}

/// What to do about an error, by whether it may pass while the host tries again.
enum Remedy {
    Passes(&'static str),
    Stays(&'static str),
}

/// Anything that is not known to stay may pass: an I/O error of a network mount does, a mount that came up read-only or
/// with another owner is mended beside a host that runs.
fn remedy(kind: ErrorKind) -> Remedy {
    match kind {
        ErrorKind::StorageFull => Remedy::Passes("free space on that file system"),
        ErrorKind::QuotaExceeded => Remedy::Passes("raise the quota or free space within it"),
        ErrorKind::PermissionDenied => {
            Remedy::Passes("let the host's user read and write there, or choose another folder")
        }
        ErrorKind::ReadOnlyFilesystem => Remedy::Passes("mount it writable, or choose another folder"),
        ErrorKind::NotADirectory => Remedy::Passes("move the file that is in the way, or choose another folder"),
        ErrorKind::IsADirectory => Remedy::Stays("move the folder that is in the way, or choose another one"),
        ErrorKind::InvalidFilename => Remedy::Stays("choose a folder with a shorter path"),
        ErrorKind::FileTooLarge => Remedy::Stays("choose a folder on a file system that takes larger files"),
        _ => Remedy::Passes("look after the disk or the mount"),
    }
}

#[cfg(test)]
mod tests {
    use gristmill_ports::ErrorKind::{Fatal, Retry};

    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_stays_is_not() {
        let cases = [
            (ErrorKind::StorageFull, Retry, "free space on that file system"),
            (ErrorKind::QuotaExceeded, Retry, "raise the quota"),
            (ErrorKind::Other, Retry, "look after the disk or the mount"),
            (ErrorKind::PermissionDenied, Retry, "let the host's user read and write there"),
            (ErrorKind::ReadOnlyFilesystem, Retry, "mount it writable"),
            (ErrorKind::NotADirectory, Retry, "move the file that is in the way"),
            (ErrorKind::InvalidFilename, Fatal, "choose a folder with a shorter path"),
        ];
        for (kind, expected, words) in cases {
            let error = cannot("write", Path::new("/srv/x"))(kind.into());
            assert_eq!(error.kind, expected, "{error}");
            assert!(error.message.starts_with("cannot write `/srv/x`: "), "{error}");
            assert!(error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn an_input_output_error_of_the_disk_may_pass() {
        const EIO: i32 = 5;
        assert_eq!(cannot("write", Path::new("/x"))(io::Error::from_raw_os_error(EIO)).kind, Retry);
    }
}
