//! What passes through the intake: offers on their way into the log, events that are in it.

use gristmill_ports::PortError;
use gristmill_ports::ingress::OnDurable;

use super::keys::UsedKey;
use super::log::{Group, LoggedOffer};

/// An event that is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) number: u64,
    /// When it came, in milliseconds since the epoch.
    pub(super) arrived_ms: i64,
    pub(super) event: Vec<u8>,
}

/// The events of a group, with their numbers.
pub(super) fn logged(group: Group) -> impl Iterator<Item = Logged> {
    let Group { first, arrived_ms, offers } = group;
    let events = offers.into_iter().flat_map(|offer| offer.events);
    (first..).zip(events).map(move |(number, event)| Logged { number, arrived_ms, event })
}

/// An offer on its way into the log.
pub(super) struct Waiting {
    pub(super) events: Vec<Vec<u8>>,
    pub(super) key: Option<UsedKey>,
    /// The key was given to an earlier offer that waits too: what becomes of that becomes of this one.
    pub(super) follows: bool,
    pub(super) on_durable: OnDurable,
    /// What it costs of the buffer, in bytes.
    pub(super) cost: usize,
}

impl Waiting {
    /// What goes into the log of it; nothing if it is there already, or will be.
    pub(super) fn take_events(&mut self) -> Option<LoggedOffer> {
        let events = std::mem::take(&mut self.events);
        (!self.follows).then_some(LoggedOffer { key: self.key.map(|used| used.key), events })
    }
}

/// The time at which events arrive.
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// What an offer is told that is not in the log.
pub(super) fn not_logged(why: &str) -> PortError {
    PortError::retry(format!("the events are not taken: {why}; send them again, under the same idempotency key if any"))
}
