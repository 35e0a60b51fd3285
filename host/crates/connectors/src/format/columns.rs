//! Picks the columns of a row out of an event: for everything that writes tables.

use gristmill_ports::PortError;
use gristmill_types::EventBatch;

use super::json::Places;

/// What is shown of a value that cannot be used.
const SHOWN: usize = 80;

/// What a row takes from an event, column by column.
#[derive(Debug)]
pub(crate) struct Columns {
    names: Vec<String>,
    origins: Vec<Origin>,
    /// The places in the value that are looked for, and the column of each.
    places: Places,
    column_of_place: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    Key,
    EventTime,
    Value,
}

/// What stands in a column of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Picked<'e> {
    /// The key, if the event has one.
    Key(Option<&'e [u8]>),
    /// The event time, in milliseconds since the epoch.
    EventTime(i64),
    /// The JSON text at the column's place in the value; `None` if there is nothing, or null.
    Json(Option<&'e str>),
}

impl Columns {
    /// Columns by name, each with a JSON path into the value, `$key` or `$event_time`.
    ///
    /// # Errors
    /// `Fatal` for a path that is none, and if there are no columns.
    pub(crate) fn new<'s>(columns: impl IntoIterator<Item = (&'s str, &'s str)>) -> Result<Self, PortError> {
        let (mut names, mut origins, mut paths, mut column_of_place) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (name, path) in columns {
            origins.push(match path {
                "$key" => Origin::Key,
                "$event_time" => Origin::EventTime,
                path => {
                    paths.push(path);
                    column_of_place.push(names.len());
                    Origin::Value
                }
            });
            names.push(name.to_owned());
        }
        if names.is_empty() {
            return Err(PortError::fatal("a table needs `columns`: name each, with the json path of its field"));
        }
        Ok(Self { names, origins, places: Places::at(paths)?, column_of_place })
    }

    /// Their names.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Fills `row` with what stands in each column.
    ///
    /// # Errors
    /// The beginning of a value that is not JSON.
    pub(crate) fn pick<'e>(
        &self,
        events: &'e EventBatch,
        number: usize,
        row: &mut Vec<Picked<'e>>,
    ) -> Result<(), String> {
        row.clear();
        row.extend(self.origins.iter().map(|origin| match origin {
            Origin::Key => Picked::Key(events.keys().get(number)),
            Origin::EventTime => Picked::EventTime(events.timestamps()[number]),
            Origin::Value => Picked::Json(None),
        }));
        let Some(value) = events.values().get(number) else { return Ok(()) };
        let found = self.places.find(value, |place, json| {
            row[self.column_of_place[place]] = Picked::Json(Some(json).filter(|json| *json != "null"));
        });
        found.map_err(|reason| {
            let head = String::from_utf8_lossy(&value[..value.len().min(SHOWN)]);
            format!("a value cannot be made a row: {reason}; it begins with `{head}`")
        })
    }
}
