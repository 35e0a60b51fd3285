//! The job document: what its author writes, as typed data. One document serves `run`, `job check` and `job submit`.
//!
//! Ids are map keys; kinds nest as maps of one key. Unknown fields are errors. `${env:X}` stays a placeholder here:
//! it is resolved on the host when a connector opens, and never stored, logged or shown.

mod kind;
mod one_or_many;
mod csv;
pub mod source;
pub mod operator;
pub mod encode;
pub mod sink;
pub mod checkpoint;

use gristmill_types::id::NodeId;
use gristmill_types::{JobId, MaxParallelism, Parallelism};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use checkpoint::{
    Backend, CheckpointSpec, ExponentialRestart, FailureRateRestart, FixedRestart, Interval, NoRestart, RestartSpec,
};
pub use encode::{ColumnType, CsvEncode, Encode, ParquetColumn, ParquetEncode};
pub use operator::{FailurePolicy, InputSpec, KeyBy, Limits, ModuleSource, OperatorSpec, PartitioningSpec};
pub use sink::{BlackholeSink, FileSink, HttpSink, PostgresSink, Roll, SinkKind, SinkSpec, StdoutSink, WriteMode};
pub use source::{
    CsvDecode, CsvType, Decode, EventTimeSpec, FileSource, GeneratedValues, GeneratorSource, HttpSource, SocketSource,
    SourceKind, SourceSpec, Start, TimeUnit,
};

use crate::quantity::{Bytes, Span};

/// A whole job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDocument {
    /// The version of the document's format: 1.
    pub version: u32,
    /// The job's name.
    pub job: JobId,
    /// Subtasks of each task that does not say otherwise. Default: 1.
    #[serde(default = "one")]
    pub parallelism: Parallelism,
    /// Key groups; fixed for the life of the job. Default: 128.
    #[serde(default = "default_max_parallelism")]
    pub max_parallelism: MaxParallelism,
    /// Bounds of a batch.
    #[serde(default)]
    pub batch: BatchBounds,
    /// When the job's state is stored.
    #[serde(default)]
    pub checkpoint: CheckpointSpec,
    /// What is done after a failure that may pass.
    #[serde(default)]
    pub restart: RestartSpec,
    /// Where events come from.
    pub sources: IndexMap<NodeId, SourceSpec>,
    /// What is done with them.
    #[serde(default)]
    pub operators: IndexMap<NodeId, OperatorSpec>,
    /// Where they go.
    pub sinks: IndexMap<NodeId, SinkSpec>,
}

fn one() -> Parallelism {
    Parallelism::ONE
}

fn default_max_parallelism() -> MaxParallelism {
    MaxParallelism::DEFAULT
}

/// How large a batch may grow. A batch is whatever has queued up, up to these bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchBounds {
    /// Events in a batch. Default: 1024.
    pub max_rows: u32,
    /// Bytes in a batch. Default: 512 KiB.
    pub max_bytes: Bytes,
    /// How long an event may wait for company: at its source, and again at each exchange. Default: not at all.
    pub max_delay: Span,
    /// Bytes in flight in one channel of an exchange, before its sender must wait. Default: 1 MiB.
    pub channel_bytes: Bytes,
}

impl Default for BatchBounds {
    fn default() -> Self {
        Self { max_rows: 1024, max_bytes: Bytes::kib(512), max_delay: Span::millis(0), channel_bytes: Bytes::mib(1) }
    }
}
