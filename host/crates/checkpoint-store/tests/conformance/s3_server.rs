//! A real S3 server, s3s-fs, on a free port over a folder of its own: for these tests, and for those of the whole host.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

/// Two buckets. s3s-fs keeps what it knows of an upload in a file with a name made of the bucket and the whole path, and
/// no file has a name of more than 255 bytes: where paths are long, the bucket is to be short.
const BUCKETS: [&str; 2] = ["checkpoints", "run"];

/// Where the server's program is; installs it if it is missing.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let script = here.map(|folder| folder.join("scripts/s3-server.sh")).find(|script| script.exists());
    let script = script.expect("the script is below the root of the repository");
    let output = Command::new(script).stderr(Stdio::inherit()).output().expect("scripts/s3-server.sh");
    assert!(output.status.success(), "scripts/s3-server.sh failed; its last lines say why");
    String::from_utf8(output.stdout).expect("a path").trim().into()
});

/// A server, stopped when dropped.
pub(crate) struct S3Server {
    dir: TempDir,
    pub(crate) port: u16,
    running: Option<Child>,
}

impl S3Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for bucket in BUCKETS {
            std::fs::create_dir(dir.path().join(bucket)).unwrap();
        }
        // Free a moment ago. Should another process take it, the server says so and the test fails.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { dir, port, running: None };
        server.start_again();
        server
    }

    /// Starts it where it was before.
    pub(crate) fn start_again(&mut self) {
        let port = self.port.to_string();
        let mut child = Command::new(&*PROGRAM)
            .args(["--host", "127.0.0.1", "--port", &port, "--access-key", "me", "--secret-key", "secret"])
            .arg(self.dir.path())
            .env("RUST_LOG", "s3s_fs=info")
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.running = Some(child);
        let is_up = lines.by_ref().any(|line| line.unwrap().contains("server is running"));
        assert!(is_up, "the server has ended without a word");
        std::thread::spawn(move || lines.for_each(drop));
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}
