//! What a call of an operator gives back. It takes effect as a whole, or not at all.

use crate::batch::EventBatch;
use crate::column::Column;
use crate::id::PortIndex;

/// Events for an output port, told by the rows of the call's input where that saves copying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Every row of the input, untouched.
    All,
    /// These rows of the input, strictly ascending.
    Selected(Vec<u32>),
    /// New values under the timestamps and keys of these rows of the input.
    Mapped {
        /// For each value, the row that lends its timestamp and key. Rows may repeat and stand in any order.
        rows: Vec<u32>,
        /// The values.
        values: Column,
    },
    /// Events of the operator's own making.
    Created(EventBatch),
}

/// Events that leave through a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// Which port.
    pub port: PortIndex,
    /// Which events.
    pub rows: Rows,
}

/// One row that the operator refuses; the rest of the call takes effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The row of the input.
    pub row: u32,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A measurement that counts when the call takes effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricUpdate {
    /// Adds to a counter.
    Add {
        /// Index into the descriptor's metrics.
        metric: u32,
        /// How much.
        delta: i64,
    },
    /// Records a value of a distribution.
    Observe {
        /// Index into the descriptor's metrics.
        metric: u32,
        /// The value.
        value: f64,
    },
}

/// Everything a successful call gave back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Output, in order within each port.
    pub emissions: Vec<Emission>,
    /// Rows refused.
    pub rejections: Vec<Rejection>,
    /// Measurements.
    pub metrics: Vec<MetricUpdate>,
}
