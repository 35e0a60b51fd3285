//! A host that may die at any moment, and a client that asks on as if it had not.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::Value;

/// What takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at what takes its time.
pub(crate) const LOOK: Duration = Duration::from_millis(10);
/// What `abort` ends a process with.
const SIGABRT: i32 = 6;

/// Where the host is to die.
#[derive(Debug, Clone)]
pub(crate) struct CrashAt {
    pub(crate) name: String,
    /// Counted from one, over all processes of the trial.
    pub(crate) hit: u64,
}

/// One trial: a folder, and the hosts that run on it one after the other.
pub(crate) struct World {
    binary: PathBuf,
    folder: tempfile::TempDir,
    crash: Option<CrashAt>,
    host: Option<(Child, Option<String>)>,
    client: Client,
    began: Instant,
    /// The host has died where it was to.
    pub(crate) crashed: bool,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.host.take() {
            // It may have ended by itself; then there is nothing left to do.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl World {
    /// An empty folder, in which these fail points are watched. No host runs yet.
    pub(crate) fn new<'a>(
        binary: &Path,
        points: impl Iterator<Item = &'a String>,
        crash: Option<CrashAt>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("hits"))?;
        for point in points {
            std::fs::write(folder.path().join("hits").join(point), "")?;
        }
        let client = Client::builder().timeout(PATIENCE).build()?;
        let (binary, began) = (binary.to_owned(), Instant::now());
        Ok(Self { binary, folder, crash, host: None, client, began, crashed: false })
    }

    /// The host's working directory, where relative paths of documents begin.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How often each fail point was reached so far.
    pub(crate) fn hits(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let entries = self.folder().join("hits").read_dir()?;
        let hits = entries.map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()))
        });
        hits.collect()
    }

    /// Kills the host with -9. The next question starts another.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        if let Some((mut child, _)) = self.host.take() {
            child.kill()?;
            let status = child.wait()?;
            // It may have been quicker.
            if status.signal() == Some(SIGABRT) {
                self.note_end(status)?;
            }
        }
        Ok(())
    }

    /// Asks until a host answers, over the deaths of hosts: whatever is asked must be the same when it comes twice. Gives
    /// the status and the body.
    ///
    /// # Errors
    /// If a host ends where it should not, or nobody answers in time.
    pub(crate) fn ask(
        &mut self,
        method: &reqwest::Method,
        path: &str,
        more: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<(u16, Value)> {
        loop {
            self.in_time(&format!("an answer to {method} {path}"))?;
            if let Some(address) = self.address()? {
                let request = more(self.client.request(method.clone(), format!("{address}{path}")));
                let answer = request.send().and_then(|answer| Ok((answer.status().as_u16(), answer.json()?)));
                if let Ok(answer) = answer {
                    return Ok(answer);
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// # Errors
    /// If the trial takes too long; `awaited` says what for.
    pub(crate) fn in_time(&self, awaited: &str) -> anyhow::Result<()> {
        ensure!(self.began.elapsed() < PATIENCE, "stuck: there was never {awaited}{}", self.log_end());
        Ok(())
    }

    /// Where the host listens, once it does; starts one if none runs.
    fn address(&mut self) -> anyhow::Result<Option<String>> {
        let file = self.folder().join("address");
        if let Some((child, _)) = &mut self.host
            && let Some(status) = child.try_wait()?
        {
            self.host = None;
            self.note_end(status)?;
        }
        if self.host.is_none() {
            // That of its predecessor.
            std::fs::remove_file(&file).ok();
            self.host = Some((self.start(&file)?, None));
        }
        let Some((_, address)) = &mut self.host else { return Ok(None) };
        if address.is_none() {
            *address = std::fs::read_to_string(&file).ok().map(|text| text.trim().to_owned());
        }
        Ok(address.clone())
    }

    fn start(&self, address_file: &Path) -> anyhow::Result<Child> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder().join("log"))?;
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--address-file"]).arg(address_file);
        command.current_dir(self.folder()).env("GRISTMILL_HITS", self.folder().join("hits"));
        if let Some(CrashAt { name, hit }) = &self.crash {
            command.env("GRISTMILL_CRASH_AT", format!("{name}:{hit}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().with_context(|| format!("starting {}", self.binary.display()))
    }

    fn note_end(&mut self, status: ExitStatus) -> anyhow::Result<()> {
        let hits = self.hits()?;
        let was_meant = self.crash.as_ref().is_some_and(|crash| hits.get(&crash.name) == Some(&crash.hit));
        if status.signal() != Some(SIGABRT) || !was_meant || self.crashed {
            bail!("the host ended by itself: {status}{}", self.log_end());
        }
        self.crashed = true;
        Ok(())
    }

    /// The last lines of the hosts' log, to be put behind a message.
    pub(crate) fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(25)..].join("\n    ");
        format!("; the host's last words:\n    {last}")
    }
}
