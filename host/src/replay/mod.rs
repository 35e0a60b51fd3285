//! A call that ended in a fault is made again, without a host: on a fresh instance, with the events, state, clocks and random
//! numbers that its crash bundle holds.

mod state;
mod again;
mod told;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use gristmill_ports::crash::CrashBundle;
use gristmill_types::ModuleHash;

use crate::words::read_file;

pub(crate) use again::{Ending, Replayed};
pub(crate) use told::told;

/// Exit code of a call that fails as it did.
const FAILS_AGAIN: u8 = 3;

/// What `gristmill replay` is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReplayOptions {
    /// The crash bundle; `gristmill job crash JOB NAME -o FILE` fetches it.
    pub(crate) bundle: PathBuf,
    /// Makes the call with this Wasm file in the place of the module that failed.
    #[arg(long, value_name = "FILE")]
    pub(crate) module: Option<PathBuf>,
    /// Where compiled code is kept, in a folder `compiled`. Default: gristmill in the user's cache directory.
    #[arg(long, value_name = "DIR", env = "GRISTMILL_CACHE")]
    pub(crate) cache: Option<PathBuf>,
}

/// Makes the call again. Blocks while the module compiles and runs; not for a tokio worker.
///
/// # Errors
/// If the bundle or the module cannot be read, or the call cannot be made as it was.
pub(crate) fn replay(options: &ReplayOptions) -> anyhow::Result<Replayed> {
    let bundle = read(&options.bundle)?;
    let code = match (&options.module, &bundle.code) {
        (Some(file), _) => read_file(file, "module", "give the Wasm file that is to make the call with --module")?,
        (None, Some(code)) if hash_of(code) == bundle.module => code.clone(),
        (None, Some(_)) => {
            return Err(anyhow!(
                "`{}` holds another module than it says; give one with --module",
                options.bundle.display()
            ));
        }
        (None, None) => {
            return Err(anyhow!(
                "`{}` holds no module: fetch it with `gristmill job crash`, which puts the module in, or give the file of \
                 module {} with --module",
                options.bundle.display(),
                bundle.module
            ));
        }
    };
    let cache = options.cache.clone().unwrap_or_else(crate::local::default_cache);
    again::make_again(bundle, &code, hash_of(&code), &cache)
}

/// The exit code that says how the call ended: 0 it does not fail, 3 as it did, 1 otherwise.
pub(crate) fn exit_code(replayed: &Replayed) -> ExitCode {
    match replayed.ending {
        Ending::Passed(_) => ExitCode::SUCCESS,
        Ending::AsBefore(_) => ExitCode::from(FAILS_AGAIN),
        Ending::Otherwise(_) => ExitCode::FAILURE,
    }
}

fn read(path: &Path) -> anyhow::Result<CrashBundle> {
    let advice = "`gristmill job crashes JOB` lists those of a job, `gristmill job crash JOB NAME -o FILE` fetches one";
    let file = read_file(path, "crash bundle", advice)?;
    CrashBundle::decode(&file)
        .map_err(|damaged| anyhow!("`{}` is no crash bundle to be used: {damaged}", path.display()))
}

fn hash_of(code: &[u8]) -> ModuleHash {
    ModuleHash(*blake3::hash(code).as_bytes())
}

#[cfg(test)]
mod tests;
