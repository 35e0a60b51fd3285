//! The sinks that promise the same, each with a way to look at what it shows the world.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use gristmill_dataflow::document::SinkSpec;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use super::server::Server;
use super::world::{World, spec};

pub(crate) enum Kind {
    OneFile,
    ManyFiles,
    Parquet,
    Postgres { server: Arc<Server>, table: String },
}

impl Kind {
    /// One of each.
    pub(crate) fn all() -> Vec<Self> {
        vec![Self::OneFile, Self::ManyFiles, Self::Parquet, Self::postgres()]
    }

    /// A table of its own, whose rows are numbered as they come.
    pub(crate) fn postgres() -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(0);
        let server = Server::running();
        let table = format!("rows_{}", TABLES.fetch_add(1, Ordering::Relaxed));
        server.ask(&format!(
            "drop table if exists {table}; create table {table} (id bigint, nth bigint generated always as identity)"
        ));
        Self::Postgres { server, table }
    }

    pub(crate) fn spec(&self) -> SinkSpec {
        spec(match self {
            Self::OneFile => json!({"file": {"path": "out/rows.jsonl"}}),
            Self::ManyFiles => json!({"file": {"path": "out/rows-{part}.jsonl"}}),
            Self::Parquet => json!({"file": {
                "path": "out/rows-{part}.parquet",
                "encode": {"parquet": {"columns": {"id": {"path": "$.id", "type": "int64"}}}},
            }}),
            Self::Postgres { server, table } => {
                json!({"postgres": {"url": server.url, "table": table, "columns": {"id": "$.id"}}})
            }
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::OneFile => "one file",
            Self::ManyFiles => "many files",
            Self::Parquet => "parquet",
            Self::Postgres { .. } => "postgres",
        }
    }

    /// The ids that anybody can see, in their order.
    pub(crate) fn visible(&self, world: &World) -> Vec<u64> {
        match self {
            Self::OneFile | Self::ManyFiles => {
                let texts = shown(world).into_iter().map(|path| std::fs::read_to_string(path).unwrap());
                texts.flat_map(|text| text.lines().map(id_of).collect::<Vec<_>>()).collect()
            }
            Self::Parquet => shown(world).iter().flat_map(|path| ids_in_parquet(path)).collect(),
            Self::Postgres { server, table } => {
                let rows = server.ask(&format!("select id from {table} order by nth"));
                rows.iter().map(|id| id.parse().unwrap()).collect()
            }
        }
    }

    /// Whatever is staged in the place of the target.
    pub(crate) fn traces(&self, world: &World) -> Vec<String> {
        let names = listed(world).into_iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

fn id_of(line: &str) -> u64 {
    serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap()
}

fn ids_in_parquet(path: &Path) -> Vec<u64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    batches.flat_map(|batch| batch["id"].as_primitive::<Int64Type>().values().to_vec()).map(|id| id as u64).collect()
}

/// Everything in the folder of output, by name.
pub(crate) fn listed(world: &World) -> Vec<PathBuf> {
    let Ok(found) = world.base().join("out").read_dir() else { return Vec::new() };
    let mut paths: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What is not hidden, by name.
pub(crate) fn shown(world: &World) -> Vec<PathBuf> {
    let hidden = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with('.');
    listed(world).into_iter().filter(|path| !hidden(path)).collect()
}
