//! The host as a process: how much memory it holds when idle, how quick its API is beside a guest that spins.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::throughput::root;

/// A host in a directory of its own; ends with the value.
struct Host {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Host {
    fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let address_file = data.path().join("address");
        let binary = std::env::current_exe()?.with_file_name("gristmill");
        let child = Command::new(&binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path().join("data"))
            .arg("--address-file")
            .arg(&address_file)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut host = Self { child, address: String::new(), _data: data };
        host.address = host.wait_for_address(&address_file)?;
        Ok(host)
    }

    fn wait_for_address(&mut self, file: &Path) -> anyhow::Result<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Ok(address) = std::fs::read_to_string(file) {
                return Ok(address.trim().to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the host ended at once: {status}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("the host did not say where it listens")
    }

    /// Resident memory, in bytes.
    fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// Uploads a guest and submits a job that runs it.
    async fn run_job(&self, client: &reqwest::Client, guest: &str, job: &str) -> anyhow::Result<()> {
        let path = root().join(guest);
        let bytes =
            std::fs::read(&path).with_context(|| format!("reading {}; `make guests` builds it", path.display()))?;
        let push =
            client.post(format!("{}/v1/modules?name=guest@1", self.address)).header("content-type", "application/wasm");
        push.body(bytes).send().await?.error_for_status().context("uploading the module")?;
        let submit = client.post(format!("{}/v1/jobs", self.address)).header("content-type", "application/yaml");
        let answer = submit.body(job.to_owned()).send().await?;
        if !answer.status().is_success() {
            bail!("the job was refused: {}", answer.text().await?);
        }
        Ok(())
    }
}

/// Resident memory of a host with one job that has nothing to do.
pub(crate) fn idle(runtime: &Runtime) -> anyhow::Result<serde_json::Value> {
    let host = Host::start()?;
    let job = "{version: 1, job: idle, sources: {in: {from: {http: {}}}}, \
         operators: {op: {module: guest@1, inputs: {in: {from: in}}, parameters: {offset: 34, letter: A}}}, \
         sinks: {out: {inputs: [op], to: {blackhole: {}}}}}";
    runtime.block_on(host.run_job(&reqwest::Client::new(), "guest-examples/target/modules/filter.wasm", job))?;
    std::thread::sleep(Duration::from_secs(2));
    let resident = host.resident_bytes()?;
    Ok(json!({"bench": "idle", "resident_bytes": resident, "resident_mib": resident as f64 / f64::from(1 << 20)}))
}

/// Requests measured.
const REQUESTS: usize = 2000;

/// How long `GET /v1/jobs` takes while a guest spins on every core.
pub(crate) fn control(runtime: &Runtime) -> anyhow::Result<serde_json::Value> {
    let host = Host::start()?;
    let job = "{version: 1, job: spinning, parallelism: 2, sources: {in: {from: {generator: {}}}}, \
         operators: {op: {module: guest@1, inputs: {in: {from: in}}, limits: {call: 60s}}}, \
         sinks: {out: {inputs: [op], to: {blackhole: {}}}}}";
    let mut took_ms = runtime.block_on(async {
        let client = reqwest::Client::new();
        host.run_job(&client, "tests/guests/target/modules/spin.wasm", job).await?;
        let mut took_ms = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let start = Instant::now();
            client.get(format!("{}/v1/jobs", host.address)).send().await?.error_for_status()?.bytes().await?;
            took_ms.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        anyhow::Ok(took_ms)
    })?;
    took_ms.sort_by(f64::total_cmp);
    let quantile = |share: f64| took_ms[((took_ms.len() - 1) as f64 * share) as usize];
    Ok(json!({
        "bench": "control", "requests": REQUESTS,
        "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "max_ms": quantile(1.0),
    }))
}
