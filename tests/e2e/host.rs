//! A real host in a directory of its own, and its clients.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::Value;

/// No promise of these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `gristmill serve`; killed with the value.
pub(crate) struct Host {
    child: Child,
    pub(crate) address: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) client: Client,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test.
pub(crate) fn gristmill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command.env_remove("GRISTMILL_HOST").env_remove("GRISTMILL_TOKEN").env("RUST_BACKTRACE", "0");
    // `run` compiles each guest once for all tests; a host keeps its own cache.
    command.env("GRISTMILL_CACHE", env!("CARGO_TARGET_TMPDIR"));
    command
}

impl Host {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    pub(crate) fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let working_directory = folder.path().to_owned();
        Self::start_from(&working_directory, folder, arguments)
    }

    /// Starts a host in another working directory than that of its data.
    pub(crate) fn start_from(working_directory: &Path, folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        Self::start_under(&[], working_directory, folder, arguments)
    }

    /// The same with variables in its environment.
    pub(crate) fn start_under(
        environment: &[(&str, &str)],
        working_directory: &Path,
        folder: tempfile::TempDir,
        arguments: &[&str],
    ) -> Self {
        let address_file = folder.path().join("address");
        let _ = std::fs::remove_file(&address_file);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
        let mut child = gristmill()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .arg("--address-file")
            .arg(&address_file)
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(working_directory)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let address = eventually("the host says where it listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!(
                    "the host ended at once: {status}\n{}",
                    std::fs::read_to_string(folder.path().join("log")).unwrap()
                );
            }
            std::fs::read_to_string(&address_file).ok()
        });
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self { child, address: address.trim().to_owned(), folder, client }
    }

    /// Kills the host with -9; gives what it left.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        // One that has ended by itself has nothing left to kill.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// Kills the host with -9 and starts another on the same data.
    pub(crate) fn kill_and_restart(self) -> Self {
        Self::start_in(self.kill(), &[])
    }

    /// Name and nice value of each of its threads.
    pub(crate) fn threads(&self) -> Vec<(String, i32)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        // One that ends meanwhile is none.
        let look = |task: std::io::Result<std::fs::DirEntry>| {
            let task = task.ok()?.path();
            let stat = std::fs::read_to_string(task.join("stat")).ok()?;
            let name = std::fs::read_to_string(task.join("comm")).ok()?;
            let behind_the_name = stat.rsplit_once(") ")?.1;
            Some((name.trim().to_owned(), behind_the_name.split(' ').nth(16)?.parse().ok()?))
        };
        tasks.filter_map(look).collect()
    }

    /// Sends the host a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops the whole process where it stands, as a machine that hangs.
    pub(crate) fn hold(&self) {
        self.signal("STOP");
        eventually("the host stands still", || {
            let state = Command::new("ps").args(["-o", "state=", "-p", &self.child.id().to_string()]).output().unwrap();
            text(&state.stdout).trim().starts_with('T').then_some(())
        });
    }

    /// Lets a held host go on.
    pub(crate) fn let_go(&self) {
        self.signal("CONT");
    }

    /// Asks the host to end; gives its exit status.
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal("TERM");
        eventually("the host ends", || self.child.try_wait().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file into the host's working directory, where relative paths of documents begin.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// The lines of a file in the host's working directory; none while it is not there.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// The command line as a client of this host.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        gristmill().args(["--host", &self.address]).args(arguments).current_dir(self.folder.path()).output().unwrap()
    }

    /// The same, expected to succeed; gives what it printed.
    pub(crate) fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.address)).send().unwrap()
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let response = self.get(path);
        assert!(response.status().is_success(), "GET {path}: {}", response.status());
        response.json().unwrap()
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.address))
    }

    pub(crate) fn delete(&self, path: &str) -> Response {
        self.client.delete(format!("{}{path}", self.address)).send().unwrap()
    }

    /// Uploads a module under a name.
    pub(crate) fn push(&self, file: &Path, name: &str) -> Value {
        let push = self.post(&format!("/v1/modules?name={name}")).header("content-type", "application/wasm");
        let response = push.body(std::fs::read(file).unwrap()).send().unwrap();
        let status = response.status();
        let answer: Value = response.json().unwrap();
        assert!(status.is_success(), "pushing {name}: {answer}");
        answer
    }

    /// Submits a job document.
    pub(crate) fn submit(&self, document: &str) -> Value {
        let (status, answer) = self.try_submit(document);
        assert!(status < 300, "submitting: {answer}");
        answer
    }

    /// Submits a job document; gives the status and the answer.
    pub(crate) fn try_submit(&self, document: &str) -> (u16, Value) {
        let submit = self.post("/v1/jobs").header("content-type", "application/yaml").body(document.to_owned());
        let response = submit.send().unwrap();
        (response.status().as_u16(), response.json().unwrap())
    }

    /// Posts events, one a line, into the source `events` of a job; gives the answer.
    pub(crate) fn offer(&self, job: &str, lines: &str) -> Response {
        let post = self.post(&format!("/v1/jobs/{job}/sources/events/events"));
        post.header("content-type", "application/x-ndjson").body(lines.to_owned()).send().unwrap()
    }

    /// The same, expected to be taken.
    pub(crate) fn feed(&self, job: &str, lines: &str) {
        let answer = self.offer(job, lines);
        assert_eq!(answer.status(), 202, "{}", answer.text().unwrap());
    }

    /// Stops a job and waits until it has stopped.
    pub(crate) fn stop(&self, job: &str) -> Value {
        let answer = self.post(&format!("/v1/jobs/{job}/stop")).send().unwrap();
        assert_eq!(answer.status(), 202, "{}", answer.text().unwrap());
        self.wait_for(job, "STOPPED")
    }

    /// Waits until a number of a job is at least this; gives the job.
    pub(crate) fn wait_until(&self, job: &str, number: &str, at_least: u64) -> Value {
        eventually(&format!("{number} of job {job} is {at_least}"), || {
            let seen = self.json(&format!("/v1/jobs/{job}"));
            assert_ne!(seen["state"], "FAILED", "{}", seen["cause"]);
            (seen[number].as_u64().unwrap() >= at_least).then_some(seen)
        })
    }

    /// The first thousand dead letters of a job.
    pub(crate) fn letters(&self, job: &str) -> Vec<Value> {
        let page = self.json(&format!("/v1/jobs/{job}/dead-letters?limit=1000"));
        page["letters"].as_array().unwrap().clone()
    }

    /// Waits until so many dead letters of a job are decided; gives all.
    pub(crate) fn wait_decided(&self, job: &str, at_least: usize) -> Vec<Value> {
        eventually(&format!("{at_least} dead letters of job {job} are decided"), || {
            let letters = self.letters(job);
            (letters.iter().filter(|letter| letter["decided"] == true).count() >= at_least).then_some(letters)
        })
    }

    /// Whatever was done to it, the host is up.
    pub(crate) fn assert_up(&self) {
        assert_eq!(self.json("/healthz")["status"], "ok");
    }

    /// Waits until a job is in a state; gives it.
    pub(crate) fn wait_for(&self, job: &str, state: &str) -> Value {
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
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
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
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
