//! A real host in a directory of its own, and its clients.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::Value;

/// No promise of these tests takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `gristmill serve`; killed with the value.
pub struct Host {
    child: Child,
    pub address: String,
    pub folder: tempfile::TempDir,
    pub client: Client,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test.
pub fn gristmill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command.env_remove("GRISTMILL_HOST").env_remove("GRISTMILL_TOKEN").env("RUST_BACKTRACE", "0");
    command
}

impl Host {
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &[])
    }

    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    pub fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let address_file = folder.path().join("address");
        let _ = std::fs::remove_file(&address_file);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
        let mut child = gristmill()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .arg("--address-file")
            .arg(&address_file)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let address = eventually("the host says where it listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the host ended at once: {status}\n{}", std::fs::read_to_string(folder.path().join("log")).unwrap());
            }
            std::fs::read_to_string(&address_file).ok()
        });
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self { child, address: address.trim().to_owned(), folder, client }
    }

    /// Kills the host with -9 and starts another on the same data.
    pub fn kill_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        drop(self);
        Self::start_in(folder, &[])
    }

    /// Asks the host to end; gives its exit status.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        eventually("the host ends", || self.child.try_wait().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// The command line as a client of this host.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        gristmill().args(["--host", &self.address]).args(arguments).current_dir(self.folder.path()).output().unwrap()
    }

    /// The same, expected to succeed; gives what it printed.
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.address)).send().unwrap()
    }

    pub fn json(&self, path: &str) -> Value {
        let response = self.get(path);
        assert!(response.status().is_success(), "GET {path}: {}", response.status());
        response.json().unwrap()
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.address))
    }

    pub fn delete(&self, path: &str) -> Response {
        self.client.delete(format!("{}{path}", self.address)).send().unwrap()
    }

    /// Uploads a module under a name.
    pub fn push(&self, file: &Path, name: &str) -> Value {
        let push = self.post(&format!("/v1/modules?name={name}")).header("content-type", "application/wasm");
        let response = push.body(std::fs::read(file).unwrap()).send().unwrap();
        let status = response.status();
        let answer: Value = response.json().unwrap();
        assert!(status.is_success(), "pushing {name}: {answer}");
        answer
    }

    /// Submits a job document.
    pub fn submit(&self, document: &str) -> Value {
        let (status, answer) = self.try_submit(document);
        assert!(status < 300, "submitting: {answer}");
        answer
    }

    /// Submits a job document; gives the status and the answer.
    pub fn try_submit(&self, document: &str) -> (u16, Value) {
        let submit = self.post("/v1/jobs").header("content-type", "application/yaml").body(document.to_owned());
        let response = submit.send().unwrap();
        (response.status().as_u16(), response.json().unwrap())
    }

    /// Waits until a job is in a state; gives it.
    pub fn wait_for(&self, job: &str, state: &str) -> Value {
        eventually(&format!("job {job} is {state}"), || {
            let seen = self.json(&format!("/v1/jobs/{job}"));
            let now = seen["state"].as_str().unwrap().to_owned();
            let over = ["FINISHED", "STOPPED", "CANCELLED", "FAILED"].contains(&now.as_str());
            assert!(now == state || !over, "job {job} is {now} instead of {state}: {}", seen["cause"]);
            (now == state).then_some(seen)
        })
    }
}

/// Looks again until there is something, at most [`PATIENCE`] long.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "it did not happen in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
