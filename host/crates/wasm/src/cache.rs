//! Compiled code on disk, under the hash of the uploaded bytes: what was compiled once is never compiled again, also
//! after a restart of the host.
//!
//! A file is `magic, blake3 of the component, blake3 of the code, code`. Code is run only if both hashes fit: a file that a
//! crash or a disk mangled is compiled anew, and so is one whose upload another host makes another component of, for
//! example with a newer adapter. The hash does not guard against somebody who can write into the data directory; such a
//! person can replace the host itself.

use std::fs::DirEntry;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gristmill_types::ModuleHash;
use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: &[u8; 16] = b"gristmill-code-2";
const HEADER_BYTES: usize = MAGIC.len() + 2 * blake3::OUT_LEN;

/// How the names of files begin that are being written.
const UNFINISHED: &str = "unfinished-";

/// After which time nobody is still writing such a file.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A directory of compiled code for one engine.
pub(crate) struct CodeCache {
    directory: PathBuf,
    /// What an engine must have in common with the one that compiled the code.
    tag: String,
}

impl CodeCache {
    /// Opens the directory, making it where needed.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn open(directory: &Path, tag: String) -> Result<Self, String> {
        std::fs::create_dir_all(directory).map_err(|error| {
            format!("cannot make the directory `{}` for compiled code: {error}", directory.display())
        })?;
        let cache = Self { directory: directory.to_owned(), tag };
        cache.sweep();
        Ok(cache)
    }

    /// Removes what hosts left behind that ended while they wrote. Others may be writing at this moment.
    fn sweep(&self) {
        self.remove(|entry| {
            let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
            entry.file_name().to_string_lossy().starts_with(UNFINISHED) && age.is_some_and(|age| age > ABANDONED)
        });
    }

    /// Removes all that was compiled of a module.
    pub(crate) fn forget(&self, module: ModuleHash) {
        let prefix = format!("{module}-");
        self.remove(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    }

    fn remove(&self, which: impl Fn(&DirEntry) -> bool) {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        for entry in entries.filter(which) {
            // Somebody else may have been faster; what stays is only space.
            let _ = std::fs::remove_file(entry.path());
        }
    }

    /// The compiled code of a module that was made this component, if there is any that can be trusted.
    pub(crate) fn load(&self, engine: &Engine, module: ModuleHash, component: &[u8]) -> Option<Component> {
        let path = self.path(module);
        let file = std::fs::read(&path).ok()?;
        let Some(code) = checked(&file, component) else {
            tracing::warn!(path = %path.display(), "compiled code on disk is damaged or of another component; compiling anew");
            return None;
        };
        // SAFETY: `deserialize` demands bytes that `Component::serialize` gave for an engine of this kind. `checked`
        // has shown them to be what `store` wrote under the magic, and wasmtime itself compares engine and version.
        #[expect(unsafe_code, reason = "wasmtime cannot check machine code; the proof stands above")]
        let component = unsafe { Component::deserialize(engine, code) };
        component
            .inspect_err(
                |error| tracing::warn!(path = %path.display(), "compiled code on disk is of no use: {error:#}"),
            )
            .ok()
    }

    /// Keeps compiled code. A cache that cannot be written costs time, not correctness: it is only reported.
    pub(crate) fn store(&self, module: ModuleHash, source: blake3::Hash, compiled: &Component) {
        if let Err(error) = self.try_store(module, source, compiled) {
            tracing::warn!(directory = %self.directory.display(), "cannot keep compiled code: {error:#}");
        }
    }

    fn try_store(&self, module: ModuleHash, source: blake3::Hash, compiled: &Component) -> wasmtime::Result<()> {
        let code = compiled.serialize()?;
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory)?;
        file.write_all(MAGIC)?;
        file.write_all(source.as_bytes())?;
        file.write_all(blake3::hash(&code).as_bytes())?;
        file.write_all(&code)?;
        file.persist(self.path(module))?;
        self.remove_of_other_engines(module);
        Ok(())
    }

    /// Removes what an older host compiled of the same module, so that the directory is bounded by the modules.
    fn remove_of_other_engines(&self, module: ModuleHash) {
        let keep = self.path(module);
        let prefix = format!("{module}-");
        self.remove(|entry| entry.file_name().to_string_lossy().starts_with(&prefix) && entry.path() != keep);
    }

    fn path(&self, module: ModuleHash) -> PathBuf {
        self.directory.join(format!("{module}-{}.cwasm", self.tag))
    }
}

/// The code of a cache file, if it is whole and that of this component.
fn checked<'f>(file: &'f [u8], component: &[u8]) -> Option<&'f [u8]> {
    let (header, code) = file.split_at_checked(HEADER_BYTES)?;
    let (source, sum) = header.strip_prefix(MAGIC)?.split_at(blake3::OUT_LEN);
    (blake3::hash(component).as_bytes() == source && blake3::hash(code).as_bytes() == sum).then_some(code)
}
