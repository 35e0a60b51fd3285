//! A bundle as bytes: one record, framed as those of checkpoints are, so that it can be carried anywhere.

use gristmill_checkpoint::framed::{self, Damaged, Magic};
use gristmill_types::failure::GuestFault;
use gristmill_types::{Column, EventBatch, InputIndex, JobId, ModuleHash, NodeId, RunId};
use serde::{Deserialize, Serialize};

use crate::crash::bundle::{CallRecord, CrashBundle, StateBefore};
use crate::operator::InstanceRecord;

/// The first bytes of a bundle.
const MAGIC: Magic = *b"GMCR";
const VERSION: u16 = 1;

/// The shape of version 1; a published version is never edited.
#[derive(Serialize, Deserialize)]
struct Record {
    job: JobId,
    run: RunId,
    operator: NodeId,
    module: ModuleHash,
    at_ms: i64,
    fault: GuestFault,
    instance: InstanceRecord,
    call: CallRecord,
    input: InputIndex,
    timestamps: Vec<i64>,
    keys: Column,
    values: Column,
    states: Vec<StateBefore>,
    left_out: Vec<String>,
    code: Option<Vec<u8>>,
}

impl CrashBundle {
    /// The bundle as a file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bundle = self.clone();
        let record = Record {
            job: bundle.job,
            run: bundle.run,
            operator: bundle.operator,
            module: bundle.module,
            at_ms: bundle.at_ms,
            fault: bundle.fault,
            instance: bundle.instance,
            call: bundle.call,
            input: bundle.input,
            timestamps: bundle.events.timestamps().to_vec(),
            keys: bundle.events.keys().clone(),
            values: bundle.events.values().clone(),
            states: bundle.states,
            left_out: bundle.left_out,
            code: bundle.code,
        };
        framed::encode(MAGIC, VERSION, &record)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it is no bundle, is damaged, was edited so that it makes no sense, or was written by a newer host.
    pub fn decode(file: &[u8]) -> Result<Self, Damaged> {
        let record: Record = framed::decode(MAGIC, VERSION, file)?;
        let events = EventBatch::new(record.timestamps, checked(record.keys)?, checked(record.values)?);
        let events = events.map_err(|uneven| Damaged::Content(uneven.to_string()))?.hashed();
        if events.is_empty() {
            return Err(Damaged::Content("it has no event".to_owned()));
        }
        let InstanceRecord { subtask, parallelism, max_parallelism, .. } = &record.instance;
        if subtask.0 >= parallelism.get() || parallelism.get() > max_parallelism.get() {
            let why = format!("it is of subtask {subtask} of {}", parallelism.get());
            return Err(Damaged::Content(why));
        }
        Ok(Self {
            job: record.job,
            run: record.run,
            operator: record.operator,
            module: record.module,
            at_ms: record.at_ms,
            fault: record.fault,
            instance: record.instance,
            call: record.call,
            input: record.input,
            events,
            states: record.states,
            left_out: record.left_out,
            code: record.code,
        })
    }
}

/// Serde has looked at no rule of a column's layout.
fn checked(column: Column) -> Result<Column, Damaged> {
    let (ends, data, nulls) = column.into_parts();
    Column::from_parts(ends, data, nulls).map_err(|error| Damaged::Content(error.to_string()))
}

#[cfg(test)]
mod tests;
