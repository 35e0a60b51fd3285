//! The table `gristmill_commits`: the names of what was committed, written in the transaction that commits it.
//!
//! A name is the run, the sink and the committable's id. Never a subtask or a bare checkpoint number: two attempts count
//! the same, and so do two runs.

use gristmill_checkpoint::{CommitPermit, Committable};
use gristmill_ports::PortError;
use gristmill_types::{JobId, NodeId, RunId};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Transaction};

use super::database::Undone;
use super::table::quoted;

/// Records of so many decided checkpoints are kept for each sink of a run. A checkpoint that could be restored lists
/// nothing older: at most 4096 committables wait for their commit, and far fewer checkpoints are kept.
const KEPT: i64 = 10_000;

fn name(schema: &str) -> String {
    format!("{}.gristmill_commits", quoted(schema))
}

/// An error that is about this table, and not about that of the sink.
fn of_records(schema: &str) -> impl Fn(Error) -> Undone {
    let table = format!("{schema}.gristmill_commits");
    move |error| Undone::Records { table: table.clone(), error }
}

/// Whether the host may do with the table what a commit does.
const RIGHTS: &str = "\
select has_table_privilege($1, 'select') and has_table_privilege($1, 'insert') and has_table_privilege($1, 'delete')";

/// Makes the table if it is not there, and looks whether records can be kept in it.
///
/// # Errors
/// `Fatal` in a sentence if they cannot; whatever the database says.
pub(super) async fn open_table(client: &Client, schema: &str) -> Result<(), Undone> {
    make_table(client, schema).await?;
    let rights = client.query_one(RIGHTS, &[&name(schema)]).await.map_err(of_records(schema))?;
    if rights.get(0) {
        return Ok(());
    }
    let message = format!(
        "the table `{schema}.gristmill_commits`, where commits are recorded, is not the host's to write; grant it select, \
         insert, delete"
    );
    Err(PortError::fatal(message).into())
}

/// Makes the table if it is not there. Asked first, since making it takes a right even if it is there.
///
/// # Errors
/// Whatever the database says.
pub(super) async fn make_table(client: &Client, schema: &str) -> Result<(), Undone> {
    let name = name(schema);
    let found = client.query_one("select to_regclass($1) is not null", &[&name]).await.map_err(of_records(schema))?;
    if found.get(0) {
        return Ok(());
    }
    let made = client
        .batch_execute(&format!(
            "create table if not exists {name} (
               run text not null, sink text not null, attempt text not null, number bigint not null,
               checkpoint bigint not null, job text not null, rows bigint not null,
               committed_at timestamptz not null default now(),
               primary key (run, sink, attempt, number))"
        ))
        .await;
    match made {
        // Somebody else made it at the same moment.
        Err(error) if is_there_now(&error) => Ok(()),
        made => made.map_err(of_records(schema)),
    }
}

fn is_there_now(error: &Error) -> bool {
    [Some(&SqlState::UNIQUE_VIOLATION), Some(&SqlState::DUPLICATE_TABLE)].contains(&error.code())
}

/// The record of a commit.
pub(super) struct Record<'c> {
    pub(super) job: &'c JobId,
    pub(super) sink: &'c NodeId,
    pub(super) permit: &'c CommitPermit,
    pub(super) committable: &'c Committable,
    pub(super) rows: u64,
}

impl Record<'_> {
    /// Whether it is there, and so are the rows.
    ///
    /// # Errors
    /// Whatever the database says.
    pub(super) async fn exists(&self, client: &Client, schema: &str) -> Result<bool, Undone> {
        let statement = format!(
            "select exists (select from {} where run = $1 and sink = $2 and attempt = $3 and number = $4)",
            name(schema)
        );
        let id = self.committable.id;
        let (run, attempt) = (self.permit.run().to_string(), id.attempt.to_string());
        let found = client.query_one(&statement, &[&run, &self.sink.as_str(), &attempt, &(id.number as i64)]).await;
        Ok(found.map_err(of_records(schema))?.get(0))
    }

    /// Writes it; `false` if it is there already, and so are the rows.
    ///
    /// # Errors
    /// Whatever the database says.
    pub(super) async fn insert(&self, transaction: &Transaction<'_>, schema: &str) -> Result<bool, Undone> {
        let statement = format!(
            "insert into {} (run, sink, attempt, number, checkpoint, job, rows) values ($1, $2, $3, $4, $5, $6, $7) \
             on conflict do nothing",
            name(schema)
        );
        let id = self.committable.id;
        let inserted = transaction
            .execute(
                &statement,
                &[
                    &self.permit.run().to_string(),
                    &self.sink.as_str(),
                    &id.attempt.to_string(),
                    &(id.number as i64),
                    &(self.permit.checkpoint().0 as i64),
                    &self.job.as_str(),
                    &(self.rows as i64),
                ],
            )
            .await
            .map_err(of_records(schema))?;
        Ok(inserted == 1)
    }
}

/// Removes the records of a sink that no checkpoint of the run can ask for any more.
///
/// # Errors
/// Whatever the database says.
pub(super) async fn prune(client: &Client, schema: &str, run: RunId, sink: &NodeId) -> Result<(), Undone> {
    let name = name(schema);
    let statement = format!(
        "delete from {name} where run = $1 and sink = $2 and checkpoint < \
         (select min(checkpoint) from (select distinct checkpoint from {name} where run = $1 and sink = $2 \
          order by checkpoint desc limit $3) newest)"
    );
    client.execute(&statement, &[&run.to_string(), &sink.as_str(), &KEPT]).await.map_err(of_records(schema))?;
    Ok(())
}
