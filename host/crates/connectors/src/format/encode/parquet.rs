//! Events as rows of a Parquet file, on their way as Arrow columns.
//!
//! Knows the types of columns; nothing of files.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use gristmill_dataflow::document::{ColumnType, ParquetEncode};
use gristmill_ports::PortError;
use gristmill_ports::sink::RefusedRow;
use gristmill_types::EventBatch;

use crate::format::columns::{Columns, Picked};
use crate::format::scalar;

/// The columns of a Parquet file.
pub(crate) struct ParquetRows {
    columns: Columns,
    types: Vec<ColumnType>,
    schema: SchemaRef,
}

/// What one cell holds.
enum Value<'e> {
    Null,
    Text(Cow<'e, str>),
    Whole(i64),
    Number(f64),
    Bool(bool),
}

impl ParquetRows {
    /// # Errors
    /// `Fatal` for a path that is none, and if there are no columns.
    pub(crate) fn new(spec: &ParquetEncode) -> Result<Self, PortError> {
        let columns = Columns::new(spec.columns.iter().map(|(name, column)| (name.as_str(), column.path.as_str())))?;
        let types: Vec<_> = spec.columns.values().map(|column| column.column_type()).collect();
        let fields = columns.names().iter().zip(&types).map(|(name, kind)| Field::new(name, data_type(*kind), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { columns, types, schema })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The rows that fit as columns; the others by their number, with the reason.
    pub(crate) fn rows(&self, events: &EventBatch) -> (RecordBatch, Vec<RefusedRow>) {
        let mut builders: Vec<_> = self.types.iter().map(|kind| Builder::new(*kind, events.len())).collect();
        let mut refused = Vec::new();
        let (mut picked, mut row) = (Vec::new(), Vec::new());
        for number in 0..events.len() {
            let fits = self.columns.pick(events, number, &mut picked).and_then(|()| self.convert(&picked, &mut row));
            match fits {
                Ok(()) => builders.iter_mut().zip(row.drain(..)).for_each(|(builder, value)| builder.append(value)),
                Err(reason) => refused.push(RefusedRow { row: number as u32, reason }),
            }
        }
        let columns = builders.into_iter().map(Builder::finish).collect();
        let rows = RecordBatch::try_new(self.schema(), columns).expect("the columns were built by the schema");
        (rows, refused)
    }

    fn convert<'e>(&self, picked: &[Picked<'e>], row: &mut Vec<Value<'e>>) -> Result<(), String> {
        row.clear();
        for ((picked, kind), name) in picked.iter().zip(&self.types).zip(self.columns.names()) {
            row.push(value(*picked, *kind).map_err(|reason| format!("column `{name}` {reason}"))?);
        }
        Ok(())
    }
}

fn value(picked: Picked<'_>, kind: ColumnType) -> Result<Value<'_>, String> {
    let json = match picked {
        Picked::Json(None) | Picked::Key(None) => return Ok(Value::Null),
        Picked::EventTime(time) => return Ok(Value::Whole(time)),
        Picked::Key(Some(key)) => {
            let text = std::str::from_utf8(key).map_err(|_| "takes text, and the key is not utf-8".to_owned())?;
            return Ok(Value::Text(text.into()));
        }
        Picked::Json(Some(json)) => json,
    };
    Ok(match kind {
        ColumnType::String => Value::Text(scalar::text(json)?),
        ColumnType::Int64 => Value::Whole(scalar::whole_number(json)?),
        ColumnType::Float64 => Value::Number(scalar::number(json)?),
        ColumnType::Bool => Value::Bool(scalar::boolean(json)?),
        ColumnType::Timestamp => Value::Whole(scalar::timestamp(json)?),
    })
}

fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::String => DataType::Utf8,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
    }
}

const UTC: &str = "UTC";

/// A column that grows.
enum Builder {
    String(StringBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMillisecondBuilder),
}

impl Builder {
    fn new(kind: ColumnType, rows: usize) -> Self {
        match kind {
            ColumnType::String => Self::String(StringBuilder::with_capacity(rows, 0)),
            ColumnType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            ColumnType::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            ColumnType::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            ColumnType::Timestamp => {
                Self::Timestamp(TimestampMillisecondBuilder::with_capacity(rows).with_timezone(UTC))
            }
        }
    }

    /// # Panics
    /// If the value is of another type: [`value`] made it for this column.
    fn append(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::String(builder), Value::Text(text)) => builder.append_value(text),
            (Self::String(builder), Value::Null) => builder.append_null(),
            (Self::Int64(builder), Value::Whole(whole)) => builder.append_value(whole),
            (Self::Int64(builder), Value::Null) => builder.append_null(),
            (Self::Float64(builder), Value::Number(number)) => builder.append_value(number),
            (Self::Float64(builder), Value::Null) => builder.append_null(),
            (Self::Bool(builder), Value::Bool(truth)) => builder.append_value(truth),
            (Self::Bool(builder), Value::Null) => builder.append_null(),
            (Self::Timestamp(builder), Value::Whole(millis)) => builder.append_value(millis),
            (Self::Timestamp(builder), Value::Null) => builder.append_null(),
            (
                Self::String(_) | Self::Int64(_) | Self::Float64(_) | Self::Bool(_) | Self::Timestamp(_),
                Value::Text(_) | Value::Whole(_) | Value::Number(_) | Value::Bool(_),
            ) => unreachable!("a value is made for the type of its column"),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::String(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Timestamp(mut builder) => Arc::new(builder.finish()),
        }
    }
}
