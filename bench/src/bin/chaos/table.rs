//! The table that the job writes, asked through PostgreSQL's own client program.

use std::collections::HashSet;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// A table `counts (place, key, n)` in a database of its own.
pub(crate) struct Table {
    psql: PathBuf,
    pub(crate) url: String,
}

impl Table {
    pub(crate) const NAME: &str = "counts";

    /// Makes it, empty.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn make(psql: &str, url: &str) -> anyhow::Result<Self> {
        let table = Self { psql: psql.into(), url: url.to_owned() };
        let columns = "place bigint generated always as identity, key text not null, n bigint not null";
        table.ask(&format!("create table {} ({columns})", Self::NAME))?;
        Ok(table)
    }

    /// The attempts and numbers of all output that was committed, as `ATTEMPT-NUMBER`.
    pub(crate) fn committed(&self) -> anyhow::Result<HashSet<String>> {
        // Made with the first commit.
        if self.ask("select to_regclass('gristmill_commits') is null")?.trim() == "t" {
            return Ok(HashSet::new());
        }
        let names = self.ask("select attempt || '-' || number from gristmill_commits")?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> anyhow::Result<u64> {
        Ok(self.ask(&format!("select count(*) from {}", Self::NAME))?.trim().parse()?)
    }

    /// Hands the rows to `read`, in the order in which they were written, as `KEY,N` on each line.
    pub(crate) fn read(&self, read: impl FnOnce(BufReader<&mut dyn Read>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let statement = format!("copy (select key, n from {} order by place) to stdout (format csv)", Self::NAME);
        let mut psql = self.command(&statement).stdout(Stdio::piped()).spawn().context("starting psql")?;
        let mut rows = psql.stdout.take().expect("it is piped");
        read(BufReader::with_capacity(1 << 20, &mut rows))?;
        ensure!(psql.wait()?.success(), "psql has failed");
        Ok(())
    }

    fn ask(&self, statement: &str) -> anyhow::Result<String> {
        let asked = self.command(statement).output().with_context(|| format!("starting {}", self.psql.display()))?;
        ensure!(asked.status.success(), "psql: {}", String::from_utf8_lossy(&asked.stderr).trim_end());
        Ok(String::from_utf8(asked.stdout)?)
    }

    fn command(&self, statement: &str) -> Command {
        let mut command = Command::new(&self.psql);
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]);
        command.args(["-d", &self.url, "-c", statement]).stdin(Stdio::null());
        command
    }
}
