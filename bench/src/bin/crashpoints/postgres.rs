//! A PostgreSQL server that somebody else has started, asked by its own client program.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, ensure};

/// The server.
pub(crate) struct Postgres {
    psql: PathBuf,
    url: String,
    schemas: AtomicU64,
}

impl Postgres {
    /// The server at `url`, and the program `psql`.
    pub(crate) fn new(psql: &str, url: &str) -> Self {
        Self { psql: psql.into(), url: url.to_owned(), schemas: AtomicU64::new(0) }
    }

    /// A schema of its own with an empty table `rows`.
    ///
    /// # Errors
    /// If the server refuses.
    pub(crate) fn schema(&self) -> anyhow::Result<Schema<'_>> {
        let name = format!("trial{}", self.schemas.fetch_add(1, Ordering::Relaxed));
        let table = "rows (id bigserial primary key, key text not null, seq bigint not null)";
        self.ask(&format!("create schema {name}; create table {name}.{table}"))?;
        Ok(Schema { server: self, name })
    }

    fn ask(&self, sql: &str) -> anyhow::Result<String> {
        let arguments = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", "-c", sql];
        let asked = Command::new(&self.psql).args(["-d", &self.url]).args(arguments).output();
        let asked = asked.with_context(|| format!("starting {}", self.psql.display()))?;
        ensure!(asked.status.success(), "psql: {}", String::from_utf8_lossy(&asked.stderr).trim_end());
        Ok(String::from_utf8(asked.stdout)?)
    }
}

/// Dropped with the value.
pub(crate) struct Schema<'a> {
    server: &'a Postgres,
    name: String,
}

impl Drop for Schema<'_> {
    fn drop(&mut self) {
        // Who still writes into it is killed with its world; the server goes away at the end in any case.
        self.server.ask(&format!("set lock_timeout = '2s'; drop schema {} cascade", self.name)).ok();
    }
}

impl Schema<'_> {
    /// How a sink reaches the server.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// The name of the table.
    pub(crate) fn table(&self) -> String {
        format!("{}.rows", self.name)
    }

    /// Its rows in the order in which they were inserted, as `KEY SEQ`.
    pub(crate) fn rows(&self) -> anyhow::Result<String> {
        self.server.ask(&format!("select key || ' ' || seq from {} order by id", self.table()))
    }
}
