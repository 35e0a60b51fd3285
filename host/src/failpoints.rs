//! Dies on request: counts how often each fail point is reached, and ends the process at one of them, for
//! `make crashpoints`. Only with the feature `failpoints`.
//!
//! `GRISTMILL_HITS` names a folder with an empty file for each fail point to watch; each time that one is reached, its
//! file grows by a byte. So hits are counted across processes, and a crash takes none of them away. With
//! `GRISTMILL_CRASH_AT=NAME:N` the process is aborted where the file of `NAME` reaches `N` bytes: nothing is flushed, no
//! destructor runs. It happens once, whatever is started again with the same variables. `FAILPOINTS` works too, as the
//! crate `fail` describes it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, anyhow};
use fail::FailScenario;

/// Watches fail points for as long as the value lives.
///
/// # Errors
/// If a variable says something else than the module describes, or the folder cannot be used.
pub fn arm() -> anyhow::Result<FailScenario<'static>> {
    let scenario = FailScenario::setup();
    let crash_at = std::env::var("GRISTMILL_CRASH_AT").ok().map(|text| CrashAt::parse(&text)).transpose()?;
    let Some(folder) = std::env::var_os("GRISTMILL_HITS").map(PathBuf::from) else { return Ok(scenario) };
    let cannot = || format!("watching the fail points in `{}`", folder.display());
    for entry in folder.read_dir().with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let file = OpenOptions::new().append(true).open(entry.path()).with_context(cannot)?;
        let before = file.metadata().with_context(cannot)?.len();
        let name = entry.file_name().to_string_lossy().into_owned();
        let dies_at = crash_at.as_ref().filter(|crash| crash.name == name).map(|crash| crash.hit);
        let hits = Mutex::new(Hits { file, so_far: before, dies_at });
        let count = move || hits.lock().expect("whoever counts does not panic").count();
        fail::cfg_callback(name, count).map_err(anyhow::Error::msg).with_context(cannot)?;
    }
    Ok(scenario)
}

/// Where to die.
struct CrashAt {
    name: String,
    hit: u64,
}

impl CrashAt {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let parts = text.rsplit_once(':').and_then(|(name, hit)| Some((name, hit.parse().ok()?)));
        let (name, hit) = parts.ok_or_else(|| anyhow!("GRISTMILL_CRASH_AT is NAME:HIT, not `{text}`"))?;
        Ok(Self { name: name.to_owned(), hit })
    }
}

/// One fail point.
struct Hits {
    file: File,
    so_far: u64,
    dies_at: Option<u64>,
}

impl Hits {
    fn count(&mut self) {
        self.so_far += 1;
        // A hit that cannot be noted is missed by whoever reads the file; nobody here could do better.
        self.file.write_all(b".").ok();
        if self.dies_at == Some(self.so_far) {
            std::process::abort();
        }
    }
}
