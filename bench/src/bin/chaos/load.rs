//! What the host is given to do, and where its output is found.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::checker::{Checker, Expected, Verdict};
use crate::host::{Host, JOB};
use crate::swapper::{MODULES, OPERATOR};
use crate::table::Table;

/// Events a second: so many that all of the host is at work, so few that two cores bear the database beside it.
const RATE: u32 = 150_000;
/// Fewer are left to read after the last kill than before it, and yet some are.
const EVENTS_FOR_A_KILL: u64 = 105_000;
const KEYS: u32 = 100_000;
/// Counts by key, in decimals, under the same key.
const GUEST: &str = "tests/guests/target/modules/event-count.wasm";

/// A custom section, which means nothing: its id, its length, the length of its name, its name.
const NOTE: &[u8] = b"\0\x06\x05again";

/// A keyed count whose rows go to one file, to many files, and to a table.
pub(crate) struct Load {
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) table: Table,
    pub(crate) events: u64,
}

impl Load {
    pub(crate) fn new(kills: u32, binary: &str, folder: PathBuf, table: Table) -> Self {
        let events = EVENTS_FOR_A_KILL * u64::from(kills.max(1));
        Self { binary: binary.into(), folder, table, events }
    }

    fn source(&self) -> Value {
        json!({"seed": 7, "events": self.events, "keys": KEYS, "values": "json"})
    }

    /// What every sink should hold: a run that nobody disturbs tells the keys of all events.
    pub(crate) fn expected(&self) -> anyhow::Result<Expected> {
        let keys = self.folder.join("keys.csv");
        let document = json!({
            "version": 1, "job": "undisturbed",
            "sources": {"events": {"from": {"generator": self.source()}}},
            "sinks": {"keys": {"inputs": ["events"], "parallelism": 1, "to": {"file": {
                "path": keys, "encode": {"csv": {"columns": {"key": "$key"}}},
            }}}},
        });
        let path = self.folder.join("undisturbed.json");
        std::fs::write(&path, document.to_string())?;
        let run = Command::new(&self.binary).arg("run").arg(&path).stdout(Stdio::null()).output()?;
        ensure!(run.status.success(), "the undisturbed run has failed: {}", String::from_utf8_lossy(&run.stderr));
        let mut expected = Expected::default();
        expected.count(behind_header(&keys)?)?;
        std::fs::remove_file(keys)?;
        ensure!(expected.rows() == self.events, "an undisturbed run gives {} events", expected.rows());
        Ok(expected)
    }

    /// Submits the job.
    pub(crate) fn submit(&self, host: &Host) -> anyhow::Result<()> {
        host.post("/v1/modules?name=count@1", "application/wasm", built(GUEST)?)?;
        let mut source = self.source();
        source["rate"] = RATE.into();
        let events = json!({"from": {"generator": source}});
        self.submit_with(
            host,
            &events,
            &json!({"module": "count@1", "inputs": {"in": {"from": "events", "key_by": "key"}}}),
        )
    }

    /// Submits the same job with events that are posted, and uploads the modules that may count them.
    pub(crate) fn submit_swapped(&self, host: &Host) -> anyhow::Result<()> {
        let [tally, again, timed] = MODULES;
        let bytes = built("tests/guests/target/modules/tally.wasm")?;
        for (name, bytes) in [
            // The same program under another hash.
            (again, [&bytes[..], NOTE].concat()),
            (tally, bytes),
            (timed, built("tests/guests/target/modules/tally-timed.wasm")?),
        ] {
            host.post(&format!("/v1/modules?name={name}"), "application/wasm", bytes)?;
        }
        let events = json!({"from": {"http": {}}, "decode": "json"});
        self.submit_with(
            host,
            &events,
            &json!({"module": tally, "inputs": {"in": {"from": "events", "key_by": "$.key"}}}),
        )
    }

    fn submit_with(&self, host: &Host, events: &Value, operator: &Value) -> anyhow::Result<()> {
        let columns = json!({"key": "$key", "n": "$"});
        let file = |path| json!({"file": {"path": path, "encode": {"csv": {"columns": columns}}}});
        let table = json!({"url": self.table.url, "table": Table::NAME, "columns": columns});
        let document = json!({
            "version": 1, "job": JOB, "parallelism": 2,
            "sources": {"events": events},
            "operators": {OPERATOR: operator},
            "sinks": {
                "file": {"inputs": [OPERATOR], "parallelism": 2, "to": file("output/rows.csv")},
                "files": {"inputs": [OPERATOR], "parallelism": 2, "to": file("output/parts/rows-{part}.csv")},
                "table": {"inputs": [OPERATOR], "to": {"postgres": table}},
            },
            // Less memory than the state needs, so that the backend has to use its disk.
            "checkpoint": {"every": "300ms", "backend": "rocksdb", "memory": "1MiB"},
        });
        host.post("/v1/jobs", "application/json", document.to_string().into_bytes())
    }

    /// The folders into which files are written.
    pub(crate) fn outputs(&self) -> [PathBuf; 2] {
        ["output", "output/parts"].map(|folder| self.folder.join(folder))
    }

    /// Looks at what each sink has made visible.
    ///
    /// # Errors
    /// If there is something that is no row, or that nobody should find when the job is over.
    pub(crate) fn judge(&self, expected: &Expected) -> anyhow::Result<[(&'static str, Verdict); 3]> {
        let [file, files] = self.outputs();
        let mut table = Checker::new(expected);
        self.table.read(|rows| table.read(rows))?;
        Ok([
            ("one file", files_in(&file, expected)?),
            ("many files", files_in(&files, expected)?),
            ("table", table.verdict()),
        ])
    }
}

/// A guest that `make guests` has built.
fn built(path: &str) -> anyhow::Result<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read(&path).with_context(|| format!("reading {}; `make guests` builds it", path.display()))
}

/// Judges the files of a folder, in the order of their names.
fn files_in(folder: &Path, expected: &Expected) -> anyhow::Result<Verdict> {
    let entries = folder.read_dir().with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    files.sort();
    let mut checker = Checker::new(expected);
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        ensure!(!name.ends_with(".staged"), "{name} is left behind");
        if name.ends_with(".csv") {
            checker.read(behind_header(&file)?).with_context(|| format!("in {}", file.display()))?;
        }
    }
    Ok(checker.verdict())
}

/// The rows of a file, without the names of its columns.
fn behind_header(path: &Path) -> anyhow::Result<impl BufRead> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut rows = BufReader::with_capacity(1 << 20, file);
    rows.read_line(&mut String::new())?;
    Ok(rows)
}
