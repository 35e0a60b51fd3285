//! A host of the tour's own: a process on a free port, in a directory that goes with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::blocking::Client;
use serde_json::Value;

/// No step takes as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is asked what is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// A running `gristmill serve`; killed with the value, and its directory removed.
pub(crate) struct Host {
    child: Child,
    binary: PathBuf,
    folder: tempfile::TempDir,
    client: Client,
    /// Where its API is.
    pub(crate) address: String,
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Host {
    /// Starts a host, and waits until it says where it listens.
    pub(crate) fn start(binary: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let child = Command::new(&binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--address-file", "address"])
            .env_remove("GRISTMILL_TOKEN")
            .env_remove("GRISTMILL_CHECKPOINTS")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("host.log"))?)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let client = Client::builder().timeout(PATIENCE).build()?;
        let mut host = Self { child, binary, folder, client, address: String::new() };
        let file = host.path("address");
        host.address = until("the host says where it listens", || {
            if let Some(status) = host.child.try_wait()? {
                bail!("the host ended at once: {status}\n{}", host.text("host.log"));
            }
            Ok(std::fs::read_to_string(&file).ok().filter(|address| !address.is_empty()))
        })?;
        host.address.truncate(host.address.trim_end().len());
        Ok(host)
    }

    /// Its command line, as a client of it; in its directory.
    pub(crate) fn client(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("GRISTMILL_HOST", &self.address).env("GRISTMILL_CACHE", self.path("cache"));
        command.env_remove("GRISTMILL_TOKEN").current_dir(self.folder.path());
        command
    }

    /// A file in its directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What stands in such a file; nothing if it is not there.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What the API tells at a path.
    pub(crate) fn look(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.client.get(format!("{}{path}", self.address)).send()?.error_for_status()?.json()?)
    }

    /// Posts lines of JSON.
    pub(crate) fn post(&self, path: &str, lines: String) -> anyhow::Result<()> {
        let post = self.client.post(format!("{}{path}", self.address)).header("content-type", "application/x-ndjson");
        post.body(lines).send()?.error_for_status()?;
        Ok(())
    }
}

/// Looks again until there is something.
///
/// # Errors
/// If looking fails, or nothing comes.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look()? {
            return Ok(found);
        }
        std::thread::sleep(LOOK);
    }
    bail!("it did not happen in {} s: {what}", PATIENCE.as_secs())
}
