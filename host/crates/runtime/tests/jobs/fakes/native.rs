//! Operators in Rust where modules would be.

use std::sync::Arc;

use gristmill_ports::migration::{Entries, Migration, Migrator};
use gristmill_ports::module_registry::Prepared;
use gristmill_ports::{Call, Operator, OperatorContext, OperatorFactory, StateBackend};
use gristmill_types::descriptor::{InputSpec, OutputSpec};
use gristmill_types::{
    CallFailure, Column, Descriptor, Emission, EventBatch, InputIndex, Outcome, PortIndex, Rows, SubtaskIndex,
};

/// Handles a batch, as [`Operator::process`] does.
pub(crate) type Process =
    Box<dyn FnMut(InputIndex, &EventBatch, &mut Box<dyn StateBackend>) -> Result<Outcome, CallFailure> + Send>;

/// Rewrites a page, as [`Migrator::migrate`] does.
pub(crate) type Rewrite = Arc<dyn Fn(Migration<'_>, &Entries) -> Result<Entries, CallFailure> + Send + Sync>;

type Open = Box<dyn Fn(&OperatorContext) -> Result<Process, CallFailure> + Send + Sync>;

/// A module of a test's own.
pub(crate) struct Native {
    pub(crate) descriptor: Descriptor,
    open: Open,
    pub(crate) rewrite: Option<Rewrite>,
}

impl Native {
    pub(crate) fn new(
        inputs: &[&str],
        outputs: &[&str],
        open: impl Fn(&OperatorContext) -> Result<Process, CallFailure> + Send + Sync + 'static,
    ) -> Self {
        let input = |name: &&str| InputSpec { name: (*name).to_owned(), keyed: false };
        let output = |name: &&str| OutputSpec { name: (*name).to_owned(), keeps_key: true };
        let descriptor = Descriptor {
            inputs: inputs.iter().map(input).collect(),
            outputs: outputs.iter().map(output).collect(),
            ..Descriptor::default()
        };
        Self { descriptor, open: Box::new(open), rewrite: None }
    }

    /// One input `in`, one output `out`, one value out for each value in; or the call fails.
    pub(crate) fn try_map(
        map: impl Fn(SubtaskIndex, &str) -> Result<String, CallFailure> + Send + Sync + 'static,
    ) -> Self {
        let map = Arc::new(map);
        Self::new(&["in"], &["out"], move |context| {
            let (map, subtask) = (Arc::clone(&map), context.subtask);
            Ok(Box::new(move |_, events, _| {
                let values = texts(events).map(|value| map(subtask, value)).collect::<Result<Vec<_>, _>>()?;
                Ok(mapped(events, &values))
            }))
        })
    }

    pub(crate) fn map(map: impl Fn(SubtaskIndex, &str) -> String + Send + Sync + 'static) -> Self {
        Self::try_map(move |subtask, value| Ok(map(subtask, value)))
    }

    pub(crate) fn prepared(self) -> Prepared {
        Prepared { factory: Arc::new(self), parameters: "{}".into() }
    }
}

/// The values of a batch.
pub(crate) fn texts(events: &EventBatch) -> impl Iterator<Item = &str> {
    events.values().iter().map(|value| std::str::from_utf8(value.unwrap_or_default()).unwrap())
}

/// New values for all rows, through port 0.
pub(crate) fn mapped(events: &EventBatch, values: &[String]) -> Outcome {
    let values: Column = values.iter().map(|value| Some(value.as_bytes())).collect();
    emitted(0, Rows::Mapped { rows: (0..events.len() as u32).collect(), values })
}

pub(crate) fn emitted(port: u32, rows: Rows) -> Outcome {
    Outcome { emissions: vec![Emission { port: PortIndex(port), rows }], ..Outcome::default() }
}

impl OperatorFactory for Native {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn open(&self, context: OperatorContext) -> Result<Box<dyn Operator>, CallFailure> {
        Ok(Box::new(Instance((self.open)(&context)?)))
    }

    fn migrates(&self) -> bool {
        self.rewrite.is_some()
    }

    fn migrator(&self, _: OperatorContext) -> Result<Option<Box<dyn Migrator>>, CallFailure> {
        Ok(self.rewrite.clone().map(|rewrite| Box::new(Rewriter(rewrite)) as Box<dyn Migrator>))
    }
}

struct Rewriter(Rewrite);

impl Migrator for Rewriter {
    fn migrate(&mut self, migration: Migration<'_>, page: &Entries) -> Result<Entries, CallFailure> {
        (self.0)(migration, page)
    }
}

struct Instance(Process);

impl Operator for Instance {
    fn process(
        &mut self,
        _: &Call,
        input: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        (self.0)(input, events, state)
    }
}
