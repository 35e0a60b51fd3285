//! Loads staged rows into their table: once, whoever tries and however often.
//!
//! The rows and the name of the committable go into one transaction. The name is a primary key, so a second try, by this
//! host or by another, finds it there and does nothing; one that is still under way is waited for.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt;
use gristmill_checkpoint::{CommitPermit, Committable};
use gristmill_ports::checkpoint_store::FileStore;
use gristmill_ports::{Committer, ErrorKind, PortError};
use gristmill_types::{AttemptId, JobId, NodeId};
use tokio_postgres::{Client, Transaction};

use super::database::{Database, Undone};
use super::load::Load;
use super::records;
use super::table::{list, quoted};
use crate::sink::versioned;

/// How long removing old records may take.
const PRUNE: Duration = Duration::from_secs(60);

/// What the server is told of patience, in this transaction alone. Rows may take as long as they take: a load that is
/// broken off takes as long the next time. A commit is durable whatever the server's default.
const SETTINGS: &str = "\
set local statement_timeout = 0; set local lock_timeout = '10s';
set local idle_in_transaction_session_timeout = '60s'; set local datestyle = 'ISO, YMD';
set local synchronous_commit = on";

/// Bytes of rows that are sent at a time.
const CHUNK: usize = 256 << 10;

/// Records are looked through after so many commits.
const PRUNE_EVERY: u32 = 64;

/// What commits the rows of a sink.
pub(super) struct PostgresCommitter {
    job: JobId,
    sink: NodeId,
    database: Database,
    files: Arc<dyn FileStore>,
    /// A connection whose last transaction went well.
    client: Option<Client>,
    commits: u32,
}

impl PostgresCommitter {
    pub(super) fn new(job: JobId, sink: NodeId, database: Database, files: Arc<dyn FileStore>) -> Self {
        Self { job, sink, database, files, client: None, commits: 0 }
    }
}

impl Committer for PostgresCommitter {
    fn commit(&mut self, permit: &CommitPermit, committable: &Committable) -> Result<(), PortError> {
        let load: Load = versioned::decode(&committable.payload, &format!("output {}", committable.id))?;
        let mut client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            Some(_) | None => self.database.connect()?,
        };
        let cancel = client.cancel_token();
        let work = self.load(&mut client, permit, committable, &load);
        self.database.run_to_its_end(&cancel, work).map_err(|error| told(&error, &load, committable))?;
        fail::fail_point!("postgres-sink-committed");
        self.commits += 1;
        if self.commits.is_multiple_of(PRUNE_EVERY) {
            let pruned = records::prune(&client, &load.schema, permit.run(), &self.sink);
            // Nothing depends on it: the next time does it too.
            if self.database.run(PRUNE, pruned).is_err() {
                return Ok(());
            }
        }
        self.client = Some(client);
        Ok(())
    }

    /// Rows that were never decided are files in checkpoint storage that nothing names: garbage like any other.
    fn abort_all_but(&mut self, _decided: &[Committable], _earlier: &[AttemptId]) -> Result<(), PortError> {
        Ok(())
    }
}

/// What a refusal means for the job: the rows were checked, so it is the table's own rules that they break.
fn told(error: &PortError, load: &Load, committable: &Committable) -> PortError {
    let Load { schema, table, rows, .. } = load;
    let message = format!(
        "cannot commit {rows} rows of checkpoint {} to `{schema}.{table}`: {}",
        committable.staged_for, error.message
    );
    match error.kind {
        ErrorKind::Retry | ErrorKind::GivenUp => PortError::retry(message),
        ErrorKind::Fatal => PortError::fatal(format!(
            "{message}; let the database take these rows, then restart the job: they are kept until then"
        )),
    }
}

impl PostgresCommitter {
    async fn load(
        &self,
        client: &mut Client,
        permit: &CommitPermit,
        committable: &Committable,
        load: &Load,
    ) -> Result<(), Undone> {
        records::make_table(client, &load.schema).await?;
        let record = records::Record { job: &self.job, sink: &self.sink, permit, committable, rows: load.rows };
        if record.exists(client, &load.schema).await? {
            return Ok(());
        }
        // Before the transaction, which must not wait for checkpoint storage.
        let rows = self.rows(committable)?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(SETTINGS).await?;
        fail::fail_point!("postgres-sink-begun");
        if !record.insert(&transaction, &load.schema).await? {
            transaction.rollback().await?;
            return Ok(());
        }
        fail::fail_point!("postgres-sink-recorded");
        let loaded = if load.upsert.is_empty() {
            copy(&transaction, &target(load), load, rows).await?
        } else {
            upsert(&transaction, load, rows).await?
        };
        if loaded != load.rows {
            let message = format!("output {} has {loaded} rows where {} were staged", committable.id, load.rows);
            return Err(PortError::fatal(message).into());
        }
        fail::fail_point!("postgres-sink-rows-loaded");
        transaction.commit().await?;
        Ok(())
    }

    /// The rows of a committable.
    fn rows(&self, committable: &Committable) -> Result<RowFile, PortError> {
        let [file] = committable.files.as_slice() else {
            let message = format!("output {} has {} files of rows, not one", committable.id, committable.files.len());
            return Err(PortError::fatal(message));
        };
        let path = self.files.open(file)?;
        let rows = File::open(&path)
            .map_err(|error| PortError::fatal(format!("cannot read the rows in `{}`: {error}", path.display())))?;
        Ok(BufReader::with_capacity(CHUNK, rows))
    }
}

/// A file of rows, to be read.
type RowFile = BufReader<File>;

fn target(load: &Load) -> String {
    format!("{}.{}", quoted(&load.schema), quoted(&load.table))
}

/// Loads rows as they are. Returns how many.
async fn copy(transaction: &Transaction<'_>, target: &str, load: &Load, mut rows: RowFile) -> Result<u64, Undone> {
    let statement = format!("copy {target} ({}) from stdin", list(&load.columns));
    let mut sink = pin!(transaction.copy_in::<_, Cursor<Vec<u8>>>(&statement).await?);
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = rows.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        match read {
            Ok(0) => break,
            Ok(_) => sink.send(Cursor::new(chunk)).await?,
            Err(error) => return Err(PortError::retry(format!("cannot read staged rows: {error}")).into()),
        }
    }
    Ok(sink.finish().await?)
}

/// Loads rows beside their table, and from there the last one of each key into it. Sorted by key, so that two loads that
/// touch the same rows do so in the same order.
async fn upsert(transaction: &Transaction<'_>, load: &Load, rows: RowFile) -> Result<u64, Undone> {
    const BESIDE: &str = "pg_temp.gristmill_rows";
    let (target, columns, keys) = (target(load), list(&load.columns), list(&load.upsert));
    let beside = format!(
        "create temporary table gristmill_rows on commit drop as select {columns} from {target} with no data; \
         alter table {BESIDE} add column gristmill_row bigint generated always as identity"
    );
    transaction.batch_execute(&beside).await?;
    let loaded = copy(transaction, BESIDE, load, rows).await?;
    let others: Vec<String> = load
        .columns
        .iter()
        .filter(|column| !load.upsert.contains(column))
        .map(|column| format!("{0} = excluded.{0}", quoted(column)))
        .collect();
    let there = if others.is_empty() { "nothing".to_owned() } else { format!("update set {}", others.join(", ")) };
    let merge = format!(
        "insert into {target} ({columns}) select distinct on ({keys}) {columns} from {BESIDE} \
         order by {keys}, gristmill_row desc on conflict ({keys}) do {there}"
    );
    transaction.execute(&merge, &[]).await?;
    Ok(loaded)
}
