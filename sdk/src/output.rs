//! Output ports. Each builds, while events are handled, the cheapest form in which its events can leave: row numbers
//! while they are input rows untouched, values under the keys of input rows after that, whole events only at need.
//!
//! The form of a port only widens within a call: so its order is kept, it returns at most three emissions, and no
//! sequence of calls can make it slow.

use std::fmt;

use serde::Serialize;

use crate::bindings::gristmill::operator::types::{self, Column, Descriptor, Emission, Mapped, OutputSpec, Rows};
use crate::event::{Batch, Event};
use crate::failure::{Failure, fatal};
use crate::part::{Done, Field, Part, Role};

/// An output port whose events keep the key of the event that they come from: what follows stays partitioned by it.
#[derive(Debug)]
pub struct Output(Port);

/// An output port whose events may have any key. What follows needs a `key_by` to be keyed again.
#[derive(Debug)]
pub struct RekeyedOutput(Port);

macro_rules! emitting {
    ($output:ty, $keeps_key:literal) => {
        impl $output {
            /// Sends the event on, untouched. Costs next to nothing: its bytes do not move.
            #[inline]
            pub fn pass(&mut self, event: Event<'_>) {
                self.0.pass(event);
            }

            /// Sends a new value under the event's key and timestamp.
            #[inline]
            pub fn map(&mut self, event: Event<'_>, value: impl AsRef<[u8]>) {
                self.0.map(event, Some(value.as_ref()));
            }

            /// Sends a null under the event's key and timestamp: what was known under this key is gone.
            pub fn tombstone(&mut self, event: Event<'_>) {
                self.0.map(event, None);
            }

            /// Sends a value, written by `write` straight into its place, under the event's key and timestamp.
            #[inline]
            pub fn write(&mut self, event: Event<'_>, write: impl FnOnce(&mut ValueWriter<'_>)) {
                self.0.begin_value(event);
                write(&mut ValueWriter(&mut self.0.values().data));
                self.0.values().end_row();
            }

            /// Sends a value as JSON under the event's key and timestamp.
            ///
            /// # Errors
            /// [`Failure::Fatal`] if the value cannot be JSON, such as a map whose keys are no strings.
            pub fn json<T: Serialize>(&mut self, event: Event<'_>, value: &T) -> Result<(), Failure> {
                self.0.begin_value(event);
                let written = serde_json::to_writer(&mut self.0.values().data, value);
                self.0.values().end_row();
                written.map_err(|error| fatal(format_args!("an output cannot be written as JSON: {error}")))
            }
        }

        impl Part for $output {
            const ROLE: Role = Role::Output;

            fn declare(field: &Field, descriptor: &mut Descriptor) -> u32 {
                descriptor.outputs.push(OutputSpec { name: field.name.to_owned(), keeps_key: $keeps_key });
                descriptor.outputs.len() as u32 - 1
            }

            fn build(_: &'static Field, port: u32, _: &str) -> Result<Self, Failure> {
                Ok(Self(Port::new(port)))
            }

            fn begin(&mut self, batch: &Batch) {
                self.0.begin(batch);
            }

            fn finish(&mut self, done: &mut Done<'_>) -> Result<(), Failure> {
                self.0.finish(done);
                Ok(())
            }
        }
    };
}

emitting!(Output, true);
emitting!(RekeyedOutput, false);

impl RekeyedOutput {
    /// Sends an event of the operator's own making. `cause` is the event for which it is made: should that be rejected,
    /// so is this.
    pub fn emit(&mut self, cause: Event<'_>, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.0.widen(Form::Created);
        self.0.begin_created(cause.row(), timestamp, key);
        self.0.values().push(value);
    }
}

/// Writes the bytes of a value into their place. Also takes `write!`.
#[derive(Debug)]
pub struct ValueWriter<'a>(&'a mut Vec<u8>);

impl ValueWriter<'_> {
    /// Appends bytes, or text.
    #[inline]
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    /// Appends an integer in decimal; several times faster than `write!`.
    #[inline]
    pub fn integer(&mut self, integer: impl itoa::Integer) -> &mut Self {
        self.bytes(itoa::Buffer::new().format(integer))
    }
}

impl fmt::Write for ValueWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text);
        Ok(())
    }
}

/// The form in which a port's events leave, from narrow to wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// Input rows, strictly ascending.
    Selected,
    /// Values under input rows.
    Mapped,
    /// Whole events.
    Created,
}

/// What has left through a port in this call, in three runs, one after the other.
#[derive(Debug)]
struct Port {
    port: u32,
    form: Form,
    selected: Vec<u32>,
    /// Rows from this one on can still be passed on by their number; none once the form is wider.
    next_row: u32,
    mapped: Mapped,
    created: types::Batch,
    /// For each created event, the row for which it was made.
    causes: Vec<u32>,
    /// Bytes of mapped values in the last call that had any: the best guess for the next.
    usual_bytes: usize,
}

impl Port {
    fn new(port: u32) -> Self {
        Self {
            port,
            form: Form::Selected,
            selected: Vec::new(),
            next_row: 0,
            mapped: Mapped { rows: Vec::new(), values: Column::empty() },
            created: no_events(),
            causes: Vec::new(),
            usual_bytes: 0,
        }
    }

    fn begin(&mut self, batch: &Batch) {
        self.form = Form::Selected;
        self.selected.clear();
        self.selected.reserve(batch.len());
        self.next_row = 0;
        self.mapped.rows.clear();
        self.mapped.values.clear();
        self.created = no_events();
        self.causes.clear();
    }

    /// The one path that must be short: an operator that filters takes it for each event.
    #[inline]
    fn pass(&mut self, event: Event<'_>) {
        if event.row() >= self.next_row {
            self.selected.push(event.row());
            self.next_row = event.row() + 1;
        } else {
            self.pass_by_value(event);
        }
    }

    /// Passes an event whose number alone would not say where it stands.
    #[cold]
    #[inline(never)]
    fn pass_by_value(&mut self, event: Event<'_>) {
        self.map(event, event.value());
    }

    #[inline]
    fn map(&mut self, event: Event<'_>, value: Option<&[u8]>) {
        self.begin_value(event);
        self.values().push(value);
    }

    /// Notes key and timestamp of a value that is written next.
    #[inline]
    fn begin_value(&mut self, event: Event<'_>) {
        match self.form {
            Form::Mapped => self.mapped.rows.push(event.row()),
            Form::Selected => self.begin_mapping(event),
            Form::Created => self.begin_created(event.row(), event.timestamp(), event.key()),
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_mapping(&mut self, event: Event<'_>) {
        self.widen(Form::Mapped);
        let rows = event.batch().len() - event.row() as usize;
        self.mapped.rows.reserve(rows);
        self.mapped.values = Column::with_capacity(rows, self.usual_bytes + self.usual_bytes / 8);
        self.mapped.rows.push(event.row());
    }

    fn widen(&mut self, form: Form) {
        self.form = form;
        self.next_row = u32::MAX;
    }

    #[inline(never)]
    fn begin_created(&mut self, cause: u32, timestamp: i64, key: Option<&[u8]>) {
        self.causes.push(cause);
        self.created.timestamps.push(timestamp);
        self.created.keys.push(key);
    }

    /// Where the value goes that `begin_value` or `begin_created` announced.
    #[inline]
    fn values(&mut self) -> &mut Column {
        match self.form {
            Form::Selected | Form::Mapped => &mut self.mapped.values,
            Form::Created => &mut self.created.values,
        }
    }

    fn finish(&mut self, done: &mut Done<'_>) {
        if !done.rejections.is_empty() {
            self.forget_rejected(done);
        }
        let port = self.port;
        if self.selected.len() == done.batch.len() {
            done.emissions.push(Emission { port, rows: Rows::All });
        } else if !self.selected.is_empty() {
            done.emissions.push(Emission { port, rows: Rows::Selected(std::mem::take(&mut self.selected)) });
        }
        if !self.mapped.rows.is_empty() {
            self.usual_bytes = self.mapped.values.data.len();
            let rows = std::mem::take(&mut self.mapped.rows);
            let values = std::mem::replace(&mut self.mapped.values, Column::empty());
            done.emissions.push(Emission { port, rows: Rows::Mapped(Mapped { rows, values }) });
        }
        if !self.created.timestamps.is_empty() {
            let created = std::mem::replace(&mut self.created, no_events());
            done.emissions.push(Emission { port, rows: Rows::Created(created) });
        }
    }

    /// Takes back what was sent for rows that were rejected afterwards.
    #[cold]
    fn forget_rejected(&mut self, done: &Done<'_>) {
        self.selected.retain(|&row| !done.rejected(row));
        let rows = &self.mapped.rows;
        self.mapped.values = self.mapped.values.filter(|at| !done.rejected(rows[at]));
        self.mapped.rows.retain(|&row| !done.rejected(row));
        let stays = |at: usize| !done.rejected(self.causes[at]);
        self.created = types::Batch {
            timestamps: (0..self.causes.len()).filter(|&at| stays(at)).map(|at| self.created.timestamps[at]).collect(),
            keys: self.created.keys.filter(stays),
            values: self.created.values.filter(stays),
        };
    }
}

fn no_events() -> types::Batch {
    types::Batch { timestamps: Vec::new(), keys: Column::empty(), values: Column::empty() }
}

#[cfg(test)]
mod tests;
