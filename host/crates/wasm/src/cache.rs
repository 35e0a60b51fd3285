//! Compiled code on disk, under the hash of the uploaded bytes: what was compiled once is never compiled again, also
//! after a restart of the host.
//!
//! A file is `magic, blake3 of the code, code`. Code is run only if the hash fits: a file that a crash or a disk
//! mangled is compiled anew. The hash does not guard against somebody who can write into the data directory; such a
//! person can replace the host itself.

use std::io::Write;
use std::path::{Path, PathBuf};

use gristmill_types::ModuleHash;
use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: &[u8; 16] = b"gristmill-code-1";
const HEADER_BYTES: usize = MAGIC.len() + blake3::OUT_LEN;

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
        Ok(Self { directory: directory.to_owned(), tag })
    }

    /// The compiled code of a module, if there is any that can be trusted.
    pub(crate) fn load(&self, engine: &Engine, module: ModuleHash) -> Option<Component> {
        let path = self.path(module);
        let file = std::fs::read(&path).ok()?;
        let Some(code) = checked(&file) else {
            tracing::warn!(path = %path.display(), "compiled code on disk is damaged; compiling anew");
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
    pub(crate) fn store(&self, module: ModuleHash, component: &Component) {
        if let Err(error) = self.try_store(module, component) {
            tracing::warn!(directory = %self.directory.display(), "cannot keep compiled code: {error:#}");
        }
    }

    fn try_store(&self, module: ModuleHash, component: &Component) -> wasmtime::Result<()> {
        let code = component.serialize()?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(MAGIC)?;
        file.write_all(blake3::hash(&code).as_bytes())?;
        file.write_all(&code)?;
        file.persist(self.path(module))?;
        self.remove_of_other_engines(module);
        Ok(())
    }

    /// Removes what an older host compiled of the same module, so that the directory is bounded by the modules.
    fn remove_of_other_engines(&self, module: ModuleHash) {
        let keep = self.path(module);
        let (prefix, entries) = (format!("{module}-"), std::fs::read_dir(&self.directory));
        for entry in entries.into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) && entry.path() != keep {
                // Somebody else may have been faster; what stays is only space.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, module: ModuleHash) -> PathBuf {
        self.directory.join(format!("{module}-{}.cwasm", self.tag))
    }
}

/// The code of a cache file, if it is whole.
fn checked(file: &[u8]) -> Option<&[u8]> {
    let (header, code) = file.split_at_checked(HEADER_BYTES)?;
    let sum = header.strip_prefix(MAGIC)?;
    (blake3::hash(code).as_bytes() == sum).then_some(code)
}
