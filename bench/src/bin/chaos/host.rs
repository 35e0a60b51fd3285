//! One life of the host: a process on data that outlasts it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::blocking::Client;
use serde_json::Value;

/// The job that is run.
pub(crate) const JOB: &str = "chaos";
/// How often is asked what is waited for.
const LOOK: Duration = Duration::from_millis(3);

/// A running `gristmill serve`; killed with the value.
pub(crate) struct Host {
    child: Child,
    folder: PathBuf,
    log: PathBuf,
    client: Client,
    pub(crate) started: Instant,
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have been killed before; then there is nothing left to do.
        let _ = self.kill();
    }
}

impl Host {
    /// Starts a host on the data in `folder`; does not wait for anything.
    pub(crate) fn start(binary: &Path, folder: &Path, log: &Path) -> anyhow::Result<Self> {
        let log = folder.join(log);
        let address_file = folder.join("address");
        // That of the life before says nothing.
        let _ = std::fs::remove_file(&address_file);
        let child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--address-file", "address"])
            .env_remove("GRISTMILL_TOKEN")
            .env_remove("GRISTMILL_CHECKPOINTS")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { child, folder: folder.to_owned(), log, client, started: Instant::now() })
    }

    /// Kills it with -9.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("killing the host")?;
        self.child.wait().context("waiting for the host's end")?;
        Ok(())
    }

    /// Whether its job came to run, as its log has it.
    pub(crate) fn has_run(&self) -> anyhow::Result<bool> {
        let log = std::fs::read_to_string(&self.log)?;
        Ok(log.lines().any(|line| line.contains("job state") && line.contains("RUNNING")))
    }

    /// Where its API is, once it says so.
    pub(crate) fn address(&self) -> anyhow::Result<String> {
        let file = self.folder.join("address");
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            match std::fs::read_to_string(&file) {
                Ok(address) if !address.is_empty() => return Ok(address.trim().to_owned()),
                Ok(_) | Err(_) => std::thread::sleep(LOOK),
            }
        }
        bail!("the host did not say where it listens; its log ends with\n{}", self.log_end())
    }

    /// Posts something, expecting that it is taken.
    pub(crate) fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> anyhow::Result<()> {
        let post = self.client.post(format!("{}{path}", self.address()?)).header("content-type", content_type);
        let answer = post.body(body).send()?;
        if !answer.status().is_success() {
            bail!("{path} was refused: {}", answer.text()?);
        }
        Ok(())
    }

    /// Waits until the job is in this state.
    ///
    /// # Errors
    /// If it is over otherwise, or does not come there.
    pub(crate) fn until(&self, state: &str, patience: Duration) -> anyhow::Result<()> {
        let job = format!("{}/v1/jobs/{JOB}", self.address()?);
        let deadline = Instant::now() + patience;
        loop {
            let seen: Value = self.client.get(&job).send()?.json()?;
            match seen["state"].as_str() {
                Some(found) if found == state => return Ok(()),
                Some("FINISHED") => bail!("the job came to its end before it should"),
                Some("FAILED") => {
                    bail!("the job has failed: {}; the host's log ends with\n{}", seen["cause"], self.log_end())
                }
                Some(_) | None if Instant::now() < deadline => std::thread::sleep(LOOK),
                Some(_) | None => bail!("the job does not come to {state}: {seen}\n{}", self.log_end()),
            }
        }
    }

    /// The folder of the job's only run in checkpoint storage, once it is there.
    pub(crate) fn run_folder(&self) -> Option<PathBuf> {
        let runs = self.folder.join("data/checkpoints/jobs").join(JOB);
        Some(runs.read_dir().ok()?.next()?.ok()?.path())
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
