//! A real PostgreSQL server, started and stopped by `scripts/postgres.sh`; shared by the tests that run at the same time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

pub(crate) struct Server {
    directory: TempDir,
    pub(crate) url: String,
    programs: PathBuf,
}

impl Server {
    pub(crate) fn running() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *running = Arc::downgrade(&server);
            server
        })
    }

    fn start() -> Self {
        let programs = PathBuf::from(script(&[]));
        // A socket's path has about a hundred bytes at most.
        let directory = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let url = script(&["start", directory.path().to_str().unwrap()]);
        Self { directory, url, programs }
    }

    /// As if it had crashed.
    pub(crate) fn crash(&self) {
        script(&["restart", self.directory.path().to_str().unwrap(), "immediate"]);
    }

    /// What a statement gives: rows as lines, fields with `|` between them.
    pub(crate) fn ask(&self, statement: &str) -> Vec<String> {
        let psql = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url, "-c", statement])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(psql.status.success(), "{statement}: {}", text(&psql.stderr));
        text(&psql.stdout).lines().map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(&["stop", self.directory.path().to_str().unwrap()]);
    }
}

fn script(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("the workspace is above");
    let output = Command::new(root.join("scripts/postgres.sh")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
