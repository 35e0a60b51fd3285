//! What came out of a call, spelled out event by event, after the checks that the host makes.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::bindings::gristmill::operator::types::{self, Descriptor, Emission, Outcome, Rows};

/// An event that left through a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// Event time, in milliseconds since the epoch.
    pub timestamp: i64,
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// What came out of a call that took effect.
#[derive(Debug)]
pub struct Processed {
    ports: BTreeMap<String, Vec<Emitted>>,
    rejections: Vec<(u32, String)>,
    emissions: Vec<Emission>,
}

impl Processed {
    pub(crate) fn new(descriptor: &Descriptor, batch: &types::Batch, outcome: Outcome) -> Self {
        let mut ports: BTreeMap<_, _> =
            descriptor.outputs.iter().map(|output| (output.name.clone(), Vec::new())).collect();
        let rejected: BTreeSet<u32> = outcome.rejections.iter().map(|rejection| rejection.row).collect();
        assert_eq!(rejected.len(), outcome.rejections.len(), "a row is rejected at most once");
        for emission in &outcome.emissions {
            let port = &descriptor.outputs.get(emission.port as usize).expect("events leave by declared ports").name;
            let events = ports.get_mut(port).expect("every declared port is there");
            events.extend(expand(batch, &emission.rows, &rejected));
        }
        let rejections = outcome.rejections.into_iter().map(|rejection| (rejection.row, rejection.reason)).collect();
        Self { ports, rejections, emissions: outcome.emissions }
    }

    /// The events that left through a port, in order.
    ///
    /// # Panics
    /// If there is no such port.
    #[must_use]
    pub fn events(&self, port: &str) -> &[Emitted] {
        self.ports.get(port).unwrap_or_else(|| panic!("the operator has no output `{port}`"))
    }

    /// The values that left through a port, as text; a tombstone is empty.
    ///
    /// # Panics
    /// If there is no such port.
    #[must_use]
    pub fn texts(&self, port: &str) -> Vec<String> {
        let bytes = self.events(port).iter().map(|event| event.value.as_deref().unwrap_or_default());
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// The values that left through a port, read as JSON.
    ///
    /// # Panics
    /// If there is no such port, or a value is not a `T`.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self, port: &str) -> Vec<T> {
        let bytes = self.events(port).iter().map(|event| event.value.as_deref().unwrap_or_default());
        bytes.map(|bytes| serde_json::from_slice(bytes).expect("the value is JSON of this type")).collect()
    }

    /// Rows refused, with the reasons.
    #[must_use]
    pub fn rejections(&self) -> &[(u32, String)] {
        &self.rejections
    }

    /// The form in which the events leave: what a test of an operator's thrift asserts.
    #[must_use]
    pub fn emissions(&self) -> &[Emission] {
        &self.emissions
    }
}

/// The events of an emission, checked as the host checks them.
fn expand(batch: &types::Batch, rows: &Rows, rejected: &BTreeSet<u32>) -> Vec<Emitted> {
    let input = |row: u32| {
        assert!(!rejected.contains(&row), "row {row} is both rejected and emitted");
        let at = row as usize;
        let (key, value) = (batch.keys.get(at), batch.values.get(at));
        Emitted { timestamp: batch.timestamps[at], key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec) }
    };
    match rows {
        Rows::All => (0..batch.timestamps.len() as u32).map(input).collect(),
        Rows::Selected(rows) => {
            assert!(rows.is_sorted_by(|a, b| a < b), "selected rows are strictly ascending");
            rows.iter().copied().map(input).collect()
        }
        Rows::Mapped(mapped) => {
            assert_eq!(mapped.rows.len(), mapped.values.len(), "every mapped value has its row");
            let value = |at: usize| mapped.values.get(at).map(<[u8]>::to_vec);
            mapped.rows.iter().enumerate().map(|(at, &row)| Emitted { value: value(at), ..input(row) }).collect()
        }
        Rows::Created(created) => {
            let rows = created.timestamps.len();
            assert_eq!((created.keys.len(), created.values.len()), (rows, rows), "created columns are equally long");
            let part = |column: &types::Column, at: usize| column.get(at).map(<[u8]>::to_vec);
            let event = |at: usize| Emitted {
                timestamp: created.timestamps[at],
                key: part(&created.keys, at),
                value: part(&created.values, at),
            };
            (0..rows).map(event).collect()
        }
    }
}
