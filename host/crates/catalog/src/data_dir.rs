//! The data directory: of which version it is, and that one host alone has it open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;

use crate::trouble::cannot;

/// What `FORMAT` says in a directory that this version understands.
const FORMAT: &str = "gristmill data directory, version 1\n";

/// A data directory, locked until dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock goes with the handle, also when the host is killed.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, making it if there is none.
    ///
    /// # Errors
    /// If it cannot be made or written, it holds what no host put there, another host has it open, or it is of another
    /// version.
    pub(crate) fn open(path: &Path) -> Result<Self, PortError> {
        fs::create_dir_all(path).map_err(cannot("make the data directory", path))?;
        refuse_foreign(path)?;
        let lock = take_lock(path)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Refuses a directory that is neither empty nor a host's, before anything is written there.
fn refuse_foreign(dir: &Path) -> Result<(), PortError> {
    let mut stranger = None;
    for entry in fs::read_dir(dir).map_err(cannot("read", dir))? {
        let name = entry.map_err(cannot("read", dir))?.file_name().to_string_lossy().into_owned();
        // What a host writes before `FORMAT`, and what a fresh file system has.
        if name != "LOCK" && name != "lost+found" && !name.starts_with(INCOMING) {
            stranger = Some(name);
        }
    }
    // Asked last: a host that starts at the same time writes `FORMAT` before all else.
    match stranger.filter(|_| !dir.join("FORMAT").exists()) {
        None => Ok(()),
        Some(stranger) => Err(PortError::fatal(format!(
            "`{}` is not a data directory: it holds `{stranger}`, and no file `FORMAT`; choose a new or an empty \
             directory, or, if it is one whose `FORMAT` was lost, put that file back: it holds the line `{}`",
            dir.display(),
            FORMAT.trim_end()
        ))),
    }
}

fn take_lock(dir: &Path) -> Result<File, PortError> {
    let path = dir.join("LOCK");
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(&path).map_err(cannot("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // The other host may be about to write its number; then the sentence goes without it.
            let _ = file.read_to_string(&mut owner);
            let owner = if owner.trim().is_empty() { String::new() } else { format!(" (pid {})", owner.trim()) };
            return Err(PortError::fatal(format!(
                "the data directory `{}` is in use by another host{owner}; stop that one, or choose another directory",
                dir.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(cannot("lock", &path)(error)),
    }
    let write_pid = |file: &mut File| file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    write_pid(&mut file).map_err(cannot("write", &path))?;
    Ok(file)
}

fn check_format(dir: &Path) -> Result<(), PortError> {
    let path = dir.join("FORMAT");
    match fs::read_to_string(&path) {
        Ok(text) if text == FORMAT => Ok(()),
        Ok(text) => {
            let found = text.lines().next().unwrap_or_default();
            Err(PortError::fatal(format!(
                "the data directory `{}` is of another version: it says `{found}`, this host needs `{}`; run the \
                 version of gristmill that made it, or choose another directory",
                dir.display(),
                FORMAT.trim_end()
            )))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_whole(&path, FORMAT.as_bytes()),
        Err(error) => Err(cannot("read", &path)(error)),
    }
}

/// Writes a file so that after a crash it is there whole or not at all.
///
/// # Errors
/// If the disk refuses.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PortError> {
    let dir = path.parent().expect("a file lies in a directory");
    let mut aside = tempfile::Builder::new().prefix(INCOMING).tempfile_in(dir).map_err(cannot("write into", dir))?;
    let written = aside.write_all(bytes).and_then(|()| aside.as_file().sync_all());
    written.map_err(cannot("write", path))?;
    aside.persist(path).map_err(cannot("write", path))?;
    sync_dir(dir)
}

/// How files begin that were being written when the host ended.
pub(crate) const INCOMING: &str = ".incoming-";

/// Makes new and removed names of a directory last.
///
/// # Errors
/// If the disk refuses.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), PortError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(cannot("write the directory", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        DataDir::open(path).expect_err("to be refused").message
    }

    #[test]
    fn a_directory_has_one_host_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let expected = format!("is in use by another host (pid {}); stop that one", std::process::id());
        assert!(refusal(dir.path()).contains(&expected), "{}", refusal(dir.path()));
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_of_foreign_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), "dear").unwrap();
        let refusal = refusal(dir.path());
        assert!(refusal.contains("is not a data directory: it holds `letter.txt`"), "{refusal}");
        assert!(refusal.contains("choose a new or an empty directory"), "{refusal}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written there");
    }

    #[test]
    fn a_directory_that_a_host_had_only_begun_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("LOCK"), "1\n").unwrap();
        fs::write(dir.path().join(".incoming-x"), "gristmill da").unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_of_another_version_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("FORMAT"), "gristmill data directory, version 7\n").unwrap();
        let refusal = refusal(dir.path());
        assert!(refusal.contains("is of another version: it says `gristmill data directory, version 7`"), "{refusal}");
    }
}
