//! The bytes of modules, each in a file named by its hash.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;
use gristmill_types::ModuleHash;

use crate::data_dir::{sync_dir, write_whole};
use crate::trouble::cannot;

/// The folder `modules` of the data directory.
#[derive(Debug)]
pub(crate) struct ModuleFiles {
    dir: PathBuf,
}

impl ModuleFiles {
    /// Opens the folder and removes what belongs to no module: files left by a crash in the middle of an upload or of
    /// a deletion.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub(crate) fn open(data_dir: &Path, known: &BTreeSet<ModuleHash>) -> Result<Self, PortError> {
        let dir = data_dir.join("modules");
        fs::create_dir_all(&dir).map_err(cannot("make the directory", &dir))?;
        for file in fs::read_dir(&dir).map_err(cannot("read", &dir))? {
            let path = file.map_err(cannot("read", &dir))?.path();
            let is_known = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if !is_known.is_some_and(|hash: ModuleHash| known.contains(&hash)) {
                fs::remove_file(&path).map_err(cannot("remove", &path))?;
            }
        }
        sync_dir(data_dir)?;
        Ok(Self { dir })
    }

    fn path(&self, hash: ModuleHash) -> PathBuf {
        self.dir.join(format!("{hash}.wasm"))
    }

    /// Keeps the bytes; a file that holds them already stays as it is.
    pub(crate) fn put(&self, hash: ModuleHash, bytes: &[u8]) -> Result<(), PortError> {
        match self.get(hash) {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => write_whole(&self.path(hash), bytes),
        }
    }

    /// The bytes, checked against their hash.
    pub(crate) fn get(&self, hash: ModuleHash) -> Result<Option<Vec<u8>>, PortError> {
        let path = self.path(hash);
        match fs::read(&path) {
            Ok(bytes) if *blake3::hash(&bytes).as_bytes() == hash.0 => Ok(Some(bytes)),
            Ok(_) => Err(PortError::fatal(format!(
                "the file `{}` is damaged: its bytes are not those of its name; upload the module again",
                path.display()
            ))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot("read", &path)(error)),
        }
    }

    pub(crate) fn delete(&self, hash: ModuleHash) -> Result<(), PortError> {
        let path = self.path(hash);
        match fs::remove_file(&path) {
            Ok(()) => sync_dir(&self.dir),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(cannot("remove", &path)(error)),
        }
    }
}
