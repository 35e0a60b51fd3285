//! Checks what `process` returned, before anybody believes it (rules 7, 10, 13, 14, 17).

use gristmill_ports::operator::OperatorContext;
use gristmill_types::descriptor::OutputSpec;
use gristmill_types::failure::GuestFault;
use gristmill_types::{Column, Descriptor, Emission, EventBatch, Outcome, PortIndex, Rejection, Rows};

use crate::bindings::types as wit;
use crate::fault::{invalid, over_output_limit};
use crate::limits::Limits;
use crate::log_gate::cut;

/// Against what an outcome is checked.
pub(crate) struct Check<'a> {
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) context: &'a OperatorContext,
    pub(crate) limits: &'a Limits,
    /// The input of the call.
    pub(crate) events: &'a EventBatch,
    /// Bytes that the call may still hand over, in all its emissions.
    pub(crate) budget: usize,
}

impl Check<'_> {
    /// The outcome in our own types. Its measurements are added by the caller.
    ///
    /// # Errors
    /// The first thing in it that the contract forbids.
    pub(crate) fn outcome(mut self, said: wit::Outcome) -> Result<Outcome, GuestFault> {
        let rejections = self.rejections(said.rejections)?;
        let mut emissions = Vec::with_capacity(said.emissions.len());
        for emission in said.emissions {
            let emission = self.emission(emission)?;
            if !rejections.is_empty() {
                check_disjoint(&emission, &rejections)?;
            }
            emissions.push(emission);
        }
        Ok(Outcome { emissions, rejections, metrics: Vec::new() })
    }

    fn rejections(&self, said: Vec<wit::Rejection>) -> Result<Vec<Rejection>, GuestFault> {
        if said.is_empty() {
            return Ok(Vec::new());
        }
        let mut rejections = Vec::with_capacity(said.len());
        for rejection in said {
            if rejection.row as usize >= self.events.len() {
                return Err(self.no_such_row("rejections", rejection.row));
            }
            rejections.push(Rejection { row: rejection.row, reason: cut(&rejection.reason).to_owned() });
        }
        rejections.sort_by_key(|rejection| rejection.row);
        if let Some(pair) = rejections.windows(2).find(|pair| pair[0].row == pair[1].row) {
            return Err(invalid(format!("row {} is rejected twice", pair[0].row)));
        }
        Ok(rejections)
    }

    fn emission(&mut self, said: wit::Emission) -> Result<Emission, GuestFault> {
        let Some(port) = self.descriptor.outputs.get(said.port as usize) else {
            let declared = self.descriptor.outputs.len();
            return Err(invalid(format!(
                "output port {} is not declared; the descriptor declares {declared}",
                said.port
            )));
        };
        let rows = match said.rows {
            wit::Rows::All => {
                self.spend(self.events.bytes())?;
                Rows::All
            }
            wit::Rows::Selected(rows) => self.selected(rows)?,
            wit::Rows::Mapped(mapped) => self.mapped(mapped)?,
            wit::Rows::Created(batch) => self.created(batch, port)?,
        };
        Ok(Emission { port: PortIndex(said.port), rows })
    }

    fn selected(&mut self, rows: Vec<u32>) -> Result<Rows, GuestFault> {
        if !is_strictly_ascending(&rows) {
            let place = (1..rows.len()).find(|&at| rows[at] <= rows[at - 1]).expect("not ascending, so a pair is not");
            let sentence = format!("`selected` is not strictly ascending at its place {place}");
            return Err(invalid(sentence));
        }
        if let Some(&last) = rows.last()
            && last as usize >= self.events.len()
        {
            return Err(self.no_such_row("selected", last));
        }
        self.spend(self.bytes_of(&rows, true))?;
        Ok(Rows::Selected(rows))
    }

    fn mapped(&mut self, mapped: wit::Mapped) -> Result<Rows, GuestFault> {
        let values = column("mapped values", mapped.values)?;
        let rows = mapped.rows;
        if rows.len() != values.len() {
            return Err(invalid(format!("`mapped` has {} rows with {} values", rows.len(), values.len())));
        }
        if let Some(&last) = rows.iter().max()
            && last as usize >= self.events.len()
        {
            return Err(self.no_such_row("mapped", last));
        }
        self.spend(values.bytes() + self.bytes_of(&rows, false))?;
        Ok(Rows::Mapped { rows, values })
    }

    fn created(&mut self, said: wit::BatchResult, port: &OutputSpec) -> Result<Rows, GuestFault> {
        let (keys, values) = (column("created keys", said.keys)?, column("created values", said.values)?);
        let batch =
            EventBatch::new(said.timestamps, keys, values).map_err(|uneven| invalid(format!("created: {uneven}")))?;
        self.spend(batch.bytes())?;
        // Only what came in under its key can stay so (rule 14). Hashes alone say nothing: a batch that was spread
        // evenly since still has those of the exchange before.
        if !port.keeps_key || !self.context.keys_in_place {
            return Ok(Rows::Created(batch));
        }
        let batch = batch.hashed();
        self.check_keys(&batch, port)?;
        Ok(Rows::Created(batch))
    }

    /// Created keys of a port that keeps keys must belong to this subtask.
    fn check_keys(&self, batch: &EventBatch, port: &OutputSpec) -> Result<(), GuestFault> {
        if let Some(row) = batch.keys().nulls().first() {
            let sentence = format!("created row {row} for port `{}` has no key, but the port keeps keys", port.name);
            return Err(invalid(sentence));
        }
        let (groups, owned) = (self.context.max_parallelism, self.context.key_groups);
        let stranger = batch.key_hashes().iter().position(|hash| !owned.contains(groups.group_of(*hash)));
        stranger.map_or(Ok(()), |row| {
            Err(invalid(format!(
                "created row {row} for port `{}` has a key of another subtask; the port keeps keys, so create only under \
                 keys of the input, or declare the port without `keeps-key`",
                port.name
            )))
        })
    }

    /// Counts expanded bytes against what is left of the output limit.
    fn spend(&mut self, bytes: usize) -> Result<(), GuestFault> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| over_output_limit(self.limits))?;
        Ok(())
    }

    /// What these rows take: timestamps and keys, and values where they are taken from the input.
    fn bytes_of(&self, rows: &[u32], with_values: bool) -> usize {
        let (keys, values) = (self.events.keys(), self.events.values());
        let span = |column: &Column, row: u32| column.span(row as usize).len();
        let of_row = |&row: &u32| span(keys, row) + if with_values { span(values, row) } else { 0 };
        12 * rows.len() + rows.iter().map(of_row).sum::<usize>()
    }

    fn no_such_row(&self, list: &str, row: u32) -> GuestFault {
        invalid(format!("`{list}` names row {row}, but the batch has {}", self.events.len()))
    }
}

/// A column that a guest returned. `name` says which.
pub(crate) fn column(name: &str, raw: wit::ColumnResult) -> Result<Column, GuestFault> {
    Column::from_parts(raw.ends, raw.data, raw.nulls).map_err(|error| invalid(format!("{name}: {error}")))
}

fn is_strictly_ascending(rows: &[u32]) -> bool {
    rows.windows(2).all(|pair| pair[0] < pair[1])
}

/// A row that is rejected leaves no output (rule 17). `rejections` are sorted by row.
fn check_disjoint(emission: &Emission, rejections: &[Rejection]) -> Result<(), GuestFault> {
    let is_rejected = |row: u32| rejections.binary_search_by_key(&row, |rejection| rejection.row).is_ok();
    let both = match &emission.rows {
        Rows::All => rejections.first().map(|rejection| rejection.row),
        Rows::Selected(rows) => {
            rejections.iter().map(|rejection| rejection.row).find(|row| rows.binary_search(row).is_ok())
        }
        Rows::Mapped { rows, .. } => rows.iter().copied().find(|row| is_rejected(*row)),
        Rows::Created(_) => None,
    };
    both.map_or(Ok(()), |row| Err(invalid(format!("row {row} is both rejected and emitted to port {}", emission.port))))
}
