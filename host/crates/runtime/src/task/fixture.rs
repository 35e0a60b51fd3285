//! What the tests of this folder put around a task: a clock that stands still, dead letters in memory, a next task
//! that is only an inbox.

use std::sync::Arc;

use gristmill_ports::clock::ManualClock;
use gristmill_types::{InputIndex, MaxParallelism, SubtaskIndex};

use crate::counters::NodeCounters;
use crate::event::EventLog;
use crate::exchange::inbox::Inbox;
use crate::exchange::writer::{ExchangeWriter, Spread};
use crate::task::chain::{Outlet, Receiver};
use crate::task::surroundings::Surroundings;

#[path = "../../tests/jobs/fakes/letters.rs"]
mod letters;
#[path = "../../tests/jobs/fakes/state.rs"]
mod state;

pub(crate) use letters::Letters;
pub(crate) use state::NaiveState;

pub(crate) fn surroundings(inbox: &Arc<Inbox>) -> (Surroundings, Arc<Letters>) {
    let clock = Arc::new(ManualClock::default());
    let letters = Arc::new(Letters::default());
    let around = Surroundings {
        job: "job".parse().unwrap(),
        subtask: SubtaskIndex(0),
        inbox: Arc::clone(inbox),
        clock: Arc::<ManualClock>::clone(&clock),
        events: Arc::new(EventLog::new(clock)),
        dead_letters: Arc::<Letters>::clone(&letters),
        jitter: 0,
    };
    (around, letters)
}

/// An exchange that leads into one inbox.
pub(crate) fn outlet(next: &Arc<Inbox>) -> Outlet {
    let counters = Arc::new(NodeCounters::new(1, &[]));
    let channel = next.add_channel(InputIndex(0), 1 << 20);
    Outlet {
        writer: ExchangeWriter::new(Spread::Forward, vec![channel], MaxParallelism::DEFAULT),
        sender: Arc::clone(&counters),
        to: Receiver { operator: "next".parse().unwrap(), input: String::new(), counters },
    }
}
