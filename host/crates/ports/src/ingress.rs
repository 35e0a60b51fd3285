//! The way of posted events from the REST API into a source.

use gristmill_types::{JobId, NodeId};

use crate::error::PortError;

/// Told once, when offered events are durable, or cannot be made so. From whichever thread.
pub type OnDurable = Box<dyn FnOnce(Result<(), PortError>) + Send>;

/// Events that were posted in one request.
pub struct Offer {
    /// Raw events.
    pub events: Vec<Vec<u8>>,
    /// The client's key: the same events under the same key are taken once.
    pub idempotency_key: Option<String>,
    /// Told if the answer is [`IngressAnswer::Taken`].
    pub on_durable: OnDurable,
}

/// Offers events to the `http` sources of running jobs. Never blocks.
pub trait Ingress: Send + Sync {
    /// Puts raw events, all or none, into the source's log and its bounded buffer.
    fn offer(&self, job: &JobId, source: &NodeId, offer: Offer) -> IngressAnswer;
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngressAnswer {
    /// All were taken, or had been under this key; they are not durable yet.
    Taken,
    /// There is no room: the job is slower than its input. Nothing was taken.
    Full {
        /// A guess at when there will be.
        retry_after_ms: u64,
    },
    /// There is no room in the source's log: no checkpoint has what is in it yet. Nothing was taken.
    LogFull {
        /// A guess at when there will be.
        retry_after_ms: u64,
    },
    /// More bytes than the whole buffer holds; trying again will not help.
    TooLarge {
        /// Bytes that the buffer holds.
        buffer_bytes: u64,
    },
    /// The idempotency key was used for other events.
    KeyReused,
    /// No running job has such a source.
    NoSuchSource,
}
