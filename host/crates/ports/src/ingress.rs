//! The way of posted events from the REST API into a source.

use gristmill_types::{JobId, NodeId};

/// Offers events to the `http` sources of running jobs. Never blocks.
pub trait Ingress: Send + Sync {
    /// Puts raw events, all or none, into the source's bounded buffer.
    fn offer(&self, job: &JobId, source: &NodeId, events: Vec<Vec<u8>>) -> IngressAnswer;
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngressAnswer {
    /// All were taken.
    Taken,
    /// There is no room: the job is slower than its input. Nothing was taken.
    Full {
        /// A guess at when there will be.
        retry_after_ms: u64,
    },
    /// More bytes than the whole buffer holds; trying again will not help.
    TooLarge {
        /// Bytes that the buffer holds.
        buffer_bytes: u64,
    },
    /// No running job has such a source.
    NoSuchSource,
}
