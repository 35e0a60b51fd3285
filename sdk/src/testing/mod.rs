//! Testing an operator natively, without Wasm and without a host.
//!
//! [`Harness`] is a host in small: it opens the operator with parameters, calls it with batches, keeps its state, and
//! treats a call as the host does, as a transaction. The operator and its handles are the very code that runs in Wasm.
//!
//! ```
//! use gristmill_sdk::prelude::*;
//! use gristmill_sdk::testing::{Harness, event};
//!
//! #[operator]
//! struct Shout {
//!     out: Output,
//! }
//!
//! impl PerEvent for Shout {
//!     fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
//!         self.out.map(event, event.text()?.to_uppercase());
//!         Ok(())
//!     }
//! }
//!
//! let mut harness = Harness::<Shout>::new();
//! let done = harness.process([event("hello"), event([0xff])]).expect("only an event was refused");
//! assert_eq!(done.texts("out"), ["HELLO"]);
//! assert_eq!(done.rejections(), [(1, "the value is not UTF-8 from byte 0 on".to_owned())]);
//! ```

mod given;
mod migrated;
mod processed;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::gristmill::operator::types::{self, Context, Descriptor};
use crate::codec;
use crate::failure::Failure;
use crate::host::{Level, Stage};
use crate::map_key::{EncodeKey, MapKey};
use crate::operator::{self, Operator};
use given::batch_of;
pub use given::{Given, event, json, tombstone};
pub use processed::{Emitted, Processed};

/// A host in small, for one operator.
#[derive(Debug)]
pub struct Harness<O> {
    operator: O,
    descriptor: Descriptor,
    stage: Stage,
    call: types::Call,
}

impl<O: Operator> Harness<O> {
    /// The operator, opened without parameters.
    ///
    /// # Panics
    /// If it does not open.
    #[must_use]
    pub fn new() -> Self {
        Self::open(&serde_json::json!({})).expect("the operator opens without parameters")
    }

    /// The operator, opened with parameters as the job document would have them.
    ///
    /// # Errors
    /// What the host would be told: parameters that do not fit, or a failure of the author's `open`.
    pub fn open(parameters: &serde_json::Value) -> Result<Self, Failure> {
        let descriptor = operator::describe::<O>();
        let context = Context {
            job: "test".to_owned(),
            operator: "test".to_owned(),
            subtask: 0,
            parallelism: 1,
            max_parallelism: 128,
            annotations: Vec::new(),
        };
        let mut stage = Stage::for_states(descriptor.states.len());
        let opened = stage.play(Vec::new(), || operator::open(&parameters.to_string(), &context));
        let call = types::Call { watermark: i64::MIN, processing_time: 0, state_generation: 0 };
        Ok(Self { operator: opened?, descriptor, stage, call })
    }

    /// What the operator declares.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// One call with these events, through the first input.
    ///
    /// # Errors
    /// If the whole call failed: then nothing of it has taken effect.
    ///
    /// # Panics
    /// If there are no events.
    pub fn process(&mut self, events: impl IntoIterator<Item = Given>) -> Result<Processed, Failure> {
        self.process_at(0, events)
    }

    /// One call with these events, through the input of this name.
    ///
    /// # Errors
    /// If the whole call failed: then nothing of it has taken effect.
    ///
    /// # Panics
    /// If there is no such input, or there are no events.
    pub fn process_input(
        &mut self,
        input: &str,
        events: impl IntoIterator<Item = Given>,
    ) -> Result<Processed, Failure> {
        let index = self.descriptor.inputs.iter().position(|known| known.name == input);
        self.process_at(index.unwrap_or_else(|| panic!("the operator has no input `{input}`")), events)
    }

    fn process_at(&mut self, input: usize, events: impl IntoIterator<Item = Given>) -> Result<Processed, Failure> {
        let events: Vec<Given> = events.into_iter().collect();
        assert!(!events.is_empty(), "a batch has at least one event");
        let before = self.stage.clone();
        let keys = events.iter().map(|event| event.key.clone()).collect();
        let outcome =
            self.stage.play(keys, || operator::process(&mut self.operator, self.call, input as u32, batch_of(&events)));
        match outcome {
            Ok(outcome) => Ok(Processed::new(&self.descriptor, &batch_of(&events), outcome)),
            Err(failure) => {
                self.stage.undo(before);
                self.call.state_generation += 1;
                Err(failure)
            }
        }
    }

    /// Moves event time: everything up to `watermark`, in milliseconds since the epoch, has arrived.
    pub fn set_watermark(&mut self, watermark: i64) {
        self.call.watermark = watermark;
    }

    /// Sets the host's clock, in milliseconds since the epoch.
    pub fn set_processing_time(&mut self, time: i64) {
        self.call.processing_time = time;
    }

    /// Puts a value into a value state from outside, as a restore or an edit over REST would.
    ///
    /// # Panics
    /// If there is no such state, or the value cannot be stored.
    pub fn put_value<T: Serialize>(&mut self, state: &str, key: impl AsRef<[u8]>, value: &T) {
        let mut bytes = Vec::new();
        codec::encode(value, state, &mut bytes).expect("the value can be stored");
        let index = self.state_index(state);
        self.stage.store.put(index, key.as_ref(), Some(&bytes));
        self.call.state_generation += 1;
    }

    /// What a value state holds for a key.
    ///
    /// # Panics
    /// If there is no such state, or it holds something else than a `T`.
    #[must_use]
    pub fn value<T: DeserializeOwned>(&self, state: &str, key: impl AsRef<[u8]>) -> Option<T> {
        let bytes = self.stage.store.get(self.state_index(state), key.as_ref())?;
        Some(codec::decode(bytes, state).expect("the state holds values of this type"))
    }

    /// What a list state holds for a key, oldest first.
    ///
    /// # Panics
    /// If there is no such state, or it holds something else than `T`s.
    #[must_use]
    pub fn list<T: DeserializeOwned>(&self, state: &str, key: impl AsRef<[u8]>) -> Vec<T> {
        let items = self.stage.store.list(self.state_index(state), key.as_ref());
        items.iter().map(|bytes| codec::decode(bytes, state).expect("the state holds items of this type")).collect()
    }

    /// What a map state holds for a key, in order.
    ///
    /// # Panics
    /// If there is no such state, or it holds something else than `K`s and `V`s.
    #[must_use]
    pub fn map<K: MapKey, V: DeserializeOwned>(&self, state: &str, key: impl AsRef<[u8]>) -> Vec<(K, V)> {
        let entries = self.stage.store.map(self.state_index(state), key.as_ref());
        let typed = entries.map(|(map_key, value)| {
            let value = codec::decode(value, state).expect("the state holds values of this type");
            (K::decode(map_key).expect("the state holds keys of this type"), value)
        });
        typed.collect()
    }

    /// What a map state holds for a key under a map key.
    ///
    /// # Panics
    /// If there is no such state, or it holds something else than a `V`.
    #[must_use]
    pub fn map_value<V: DeserializeOwned>(
        &self,
        state: &str,
        key: impl AsRef<[u8]>,
        map_key: &(impl EncodeKey + ?Sized),
    ) -> Option<V> {
        let mut bytes = Vec::new();
        map_key.encode(&mut bytes);
        let mut entries = self.stage.store.map(self.state_index(state), key.as_ref());
        let (_, value) = entries.find(|(known, _)| *known == bytes)?;
        Some(codec::decode(value, state).expect("the state holds values of this type"))
    }

    /// The sum that a counter has reached.
    ///
    /// # Panics
    /// If there is no such metric.
    #[must_use]
    pub fn counter(&self, metric: &str) -> i64 {
        let index = self.descriptor.metrics.iter().position(|known| known == metric);
        let index = index.unwrap_or_else(|| panic!("the operator has no metric `{metric}`"));
        self.stage.sums.get(&(index as u32)).copied().unwrap_or(0)
    }

    /// All log lines so far, also those of calls that failed: level, row and text.
    #[must_use]
    pub fn logs(&self) -> &[(Level, Option<u32>, String)] {
        &self.stage.logs
    }

    /// How often the operator called the host for state: what a test of its thrift asserts.
    #[must_use]
    pub fn state_calls(&self) -> usize {
        self.stage.state_calls
    }

    fn state_index(&self, state: &str) -> u32 {
        let index = self.descriptor.states.iter().position(|known| known.name == state);
        index.unwrap_or_else(|| panic!("the operator has no state `{state}`")) as u32
    }
}

impl<O: Operator> Default for Harness<O> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why an operator does not open with these parameters.
///
/// # Panics
/// If it does.
#[must_use]
pub fn refusal<O: Operator>(parameters: &serde_json::Value) -> String {
    match Harness::<O>::open(parameters) {
        Ok(_) => panic!("the operator opens with {parameters}"),
        Err(Failure::BadRecord(reason) | Failure::Transient(reason) | Failure::Fatal(reason)) => reason,
    }
}
