//! The table that a sink writes, as the database has it; and what of it does not fit the sink.

use std::collections::BTreeSet;

use gristmill_dataflow::document::{PostgresSink, WriteMode};
use gristmill_ports::PortError;
use tokio_postgres::Client;

use super::cell::CellType;
use super::database::Undone;

/// Everything that is not there or does not fit is told when the sink is opened, not when rows are refused.
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    /// What the sink's columns hold, in its order.
    pub(super) columns: Vec<TableColumn>,
}

/// A column of the table that the sink writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableColumn {
    pub(super) holds: CellType,
    /// It allows no nulls, or rows are known by it.
    pub(super) required: bool,
}

/// A column as the database describes it.
struct Described {
    name: String,
    type_name: String,
    is_built_in: bool,
    modifier: i32,
    not_null: bool,
    has_default: bool,
    is_generated: bool,
}

/// A name as it stands in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as they stand in a statement.
pub(super) fn list<'n>(names: impl IntoIterator<Item = &'n String>) -> String {
    names.into_iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

const TABLE: &str = "\
select n.nspname::text, c.relname::text, c.relkind::text, has_table_privilege(c.oid, 'insert'),
       has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'update'), current_setting('server_encoding'),
       has_database_privilege(current_database(), 'temp')
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)";

const COLUMNS: &str = "\
select a.attname::text, t.typname::text, t.typnamespace = 'pg_catalog'::regnamespace, a.atttypmod, a.attnotnull,
       a.atthasdef or a.attidentity <> '', a.attgenerated <> '' or a.attidentity = 'a'
from pg_attribute a join pg_type t on t.oid = a.atttypid
where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped";

const UNIQUE: &str = "\
select array_agg(a.attname::text) from pg_index i
join pg_attribute a on a.attrelid = i.indrelid
 and a.attnum = any ((string_to_array(i.indkey::text, ' ')::int2[])[1:i.indnkeyatts])
where i.indrelid = to_regclass($1) and i.indisunique and i.indimmediate and i.indisvalid
  and i.indpred is null and i.indexprs is null
group by i.indexrelid";

impl Table {
    /// Asks the database for the table of a sink.
    ///
    /// # Errors
    /// `Fatal` in a sentence for what is missing or does not fit; whatever the database says.
    pub(super) async fn look_up(client: &Client, spec: &PostgresSink) -> Result<Self, Undone> {
        let quoted_name = spec.table.split('.').map(quoted).collect::<Vec<_>>().join(".");
        let missing = |what: String| PortError::fatal(format!("the table `{}` {what}", spec.table));
        let Some(found) = client.query_opt(TABLE, &[&quoted_name]).await? else {
            return Err(missing("is not there; create it, or name another".to_owned()).into());
        };
        let (kind, may_insert, may_update): (String, bool, bool) = (found.get(2), found.get(3), found.get(4));
        if !["r", "p"].contains(&kind.as_str()) {
            return Err(
                missing("is a view or something else that takes no rows of its own; name a table".to_owned()).into()
            );
        }
        let upserts = matches!(spec.mode, WriteMode::Upsert(_));
        if !may_insert || (upserts && !may_update) {
            let rights = if upserts { "select, insert, update" } else { "insert" };
            return Err(missing(format!("is not the host's to write; grant it {rights}")).into());
        }
        if upserts && !found.get::<_, bool>(6) {
            let what = "is written by way of a temporary table, which the host may not make; grant it temporary on the \
                        database";
            return Err(missing(what.to_owned()).into());
        }
        let encoding: String = found.get(5);
        if encoding != "UTF8" {
            return Err(missing(format!("is in a database of encoding {encoding}; use one of UTF8")).into());
        }
        let described = client.query(COLUMNS, &[&quoted_name]).await?;
        let described: Vec<Described> = described
            .iter()
            .map(|row| Described {
                name: row.get(0),
                type_name: row.get(1),
                is_built_in: row.get(2),
                modifier: row.get(3),
                not_null: row.get(4),
                has_default: row.get(5),
                is_generated: row.get(6),
            })
            .collect();
        let columns = fitting(spec, &described).map_err(missing)?;
        if let WriteMode::Upsert(keys) = &spec.mode {
            let unique: Vec<Vec<String>> =
                client.query(UNIQUE, &[&quoted_name]).await?.iter().map(|row| row.get(0)).collect();
            let keys: BTreeSet<&String> = keys.iter().collect();
            if !unique.iter().any(|index| index.iter().collect::<BTreeSet<_>>() == keys) {
                let names = list(keys);
                let what = format!(
                    "has no unique index on ({names}), by which `upsert` knows rows; add one: create unique index on \
                     {quoted_name} ({names})"
                );
                return Err(missing(what).into());
            }
        }
        Ok(Self { schema: found.get(0), name: found.get(1), columns })
    }
}

/// What the sink's columns hold, or the first thing that does not fit.
fn fitting(spec: &PostgresSink, described: &[Described]) -> Result<Vec<TableColumn>, String> {
    let keys: &[String] = match &spec.mode {
        WriteMode::Append => &[],
        WriteMode::Upsert(keys) => keys,
    };
    let unnamed = |column: &&Described| !spec.columns.contains_key(&column.name);
    let left_out = described.iter().filter(unnamed);
    if let Some(column) = left_out.into_iter().find(|one| one.not_null && !one.has_default && !one.is_generated) {
        return Err(format!(
            "has the column `{}`, which allows no nulls and has no default; name it in `columns`",
            column.name
        ));
    }
    let columns = spec.columns.keys().map(|name| {
        let Some(column) = described.iter().find(|column| column.name == *name) else {
            let known: Vec<_> = described.iter().map(|column| format!("`{}`", column.name)).collect();
            return Err(format!("has no column `{name}`; it has {}", known.join(", ")));
        };
        if column.is_generated {
            return Err(format!("makes the column `{name}` by itself; leave it out of `columns`"));
        }
        let holds = column.is_built_in.then(|| CellType::of(&column.type_name, column.modifier)).flatten();
        let Some(holds) = holds else {
            return Err(format!(
                "has the column `{name}` of type {}, which this sink cannot check; use one of the types that it knows, such \
                 as text",
                column.type_name
            ));
        };
        Ok(TableColumn { holds, required: column.not_null || keys.contains(name) })
    });
    columns.collect()
}
