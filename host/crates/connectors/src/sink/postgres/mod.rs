//! Writes rows into a table of a PostgreSQL database, each event exactly once.
//!
//! Rows are checked against the types of their columns when they come, and staged as a file in checkpoint storage, where
//! any host can commit them. Whatever waits for the database waits on the thread of the sink or of the committer, never
//! on one that serves sockets.

mod database;
mod decimal;
mod cell;
mod table;
mod load;
mod writer;
mod records;
mod committer;

use std::sync::Arc;
use std::time::Duration;

use gristmill_dataflow::document::{PostgresSink, WriteMode};
use gristmill_ports::checkpoint_store::FileStore;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{Committer, PortError, Sink};
use tokio::runtime::Handle;

use self::committer::PostgresCommitter;
use self::database::Database;
use self::load::Load;
use self::table::Table;
use self::writer::PostgresWriter;
use super::tally::Tally;
use crate::format::columns::Columns;

/// How long the database may take to describe a table.
const LOOK_UP: Duration = Duration::from_secs(30);

/// Opens the writer of one subtask, to go on from its position if there is one. The table is looked at, and the one for
/// the records of commits made where it is missing.
///
/// # Errors
/// `Fatal` if the table or a column is missing or does not fit, and for a path into values that is none; `Retry` if the
/// database cannot be reached.
pub(crate) fn open(
    context: &PartContext,
    spec: &PostgresSink,
    resume: Option<&[u8]>,
    runtime: Handle,
) -> Result<Box<dyn Sink>, PortError> {
    let columns = Columns::new(spec.columns.iter().map(|(name, path)| (name.as_str(), path.as_str())))?;
    let tally = Tally::resume(resume, true, context.node.as_str())?;
    let database = Database::new(context, spec, runtime)?;
    let client = database.connect()?;
    let table = database.run(LOOK_UP, async {
        let table = Table::look_up(&client, spec).await?;
        records::open_table(&client, &table.schema).await?;
        Ok::<_, database::Undone>(table)
    });
    let table = table.map_err(|error| PortError {
        kind: error.kind,
        message: format!("{} (sink `{}`, {})", error.message, context.node, database.shown()),
    })?;
    let load = Load {
        schema: table.schema,
        table: table.name,
        columns: columns.names().to_vec(),
        upsert: match &spec.mode {
            WriteMode::Append => Vec::new(),
            WriteMode::Upsert(keys) => keys.clone(),
        },
        rows: 0,
    };
    Ok(Box::new(PostgresWriter::new(context.node.clone(), columns, table.columns, load, tally)))
}

/// What commits the rows of a sink. Nothing is connected yet.
///
/// # Errors
/// `Fatal` for a URL that is none.
pub(crate) fn committer(
    context: &PartContext,
    spec: &PostgresSink,
    files: Arc<dyn FileStore>,
    runtime: Handle,
) -> Result<Box<dyn Committer>, PortError> {
    let database = Database::new(context, spec, runtime)?;
    Ok(Box::new(PostgresCommitter::new(context.job.clone(), context.node.clone(), database, files)))
}
