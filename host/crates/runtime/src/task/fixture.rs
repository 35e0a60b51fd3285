//! What the tests of this folder put around a task: a clock that stands still, dead letters in memory, a next task
//! that is only an inbox.

use std::sync::{Arc, mpsc};

use gristmill_checkpoint::coordinator::Participant;
use gristmill_ports::clock::ManualClock;
use gristmill_ports::crash::NoCrashes;
use gristmill_ports::veil::NoSecrets;
use gristmill_types::{CheckpointId, InputIndex, KeyGroupRange, MaxParallelism, RunId, SubtaskIndex, Watermark};

use crate::checkpoint::desk::Desk;
use crate::counters::NodeCounters;
use crate::event::EventLog;
use crate::exchange::inbox::Inbox;
use crate::exchange::writer::{ExchangeWriter, Spread};
use crate::task::chain::{Chain, ChainNode, Outlet, Receiver};
use crate::task::surroundings::Surroundings;

#[path = "../../tests/jobs/fakes/letters.rs"]
#[expect(dead_code, reason = "tests of whole jobs look at more of it")]
mod letters;
#[path = "../../tests/jobs/fakes/state.rs"]
#[expect(dead_code, reason = "tests of whole jobs look at more of it")]
mod state;

pub(crate) use letters::Letters;
pub(crate) use state::NaiveState;

pub(crate) fn surroundings(inbox: &Arc<Inbox>) -> (Surroundings, Arc<Letters>) {
    let clock = Arc::new(ManualClock::default());
    let letters = Arc::new(Letters::default());
    let by = Participant { task: 0, subtask: SubtaskIndex(0) };
    let around = Surroundings {
        job: "job".parse().unwrap(),
        run: RunId(1),
        passed: CheckpointId(0),
        desk: Desk::new(by, mpsc::channel().0, mpsc::channel().0),
        subtask: SubtaskIndex(0),
        inbox: Arc::clone(inbox),
        clock: Arc::<ManualClock>::clone(&clock),
        events: Arc::new(EventLog::new(clock)),
        dead_letters: Arc::<Letters>::clone(&letters),
        crashes: Arc::new(NoCrashes),
        veil: Arc::new(NoSecrets),
        jitter: 0,
    };
    (around, letters)
}

/// A chain with an exchange into one inbox behind it.
pub(crate) fn chain(nodes: Vec<ChainNode>, own: &Arc<Inbox>, next: &Arc<Inbox>) -> Chain {
    let around = surroundings(own).0;
    let exchanges = vec![outlet(next)];
    let groups = KeyGroupRange { start: 0, end: 128 };
    Chain { nodes, exchanges, around, held_back: None, groups, event_time: Watermark::START, draining: None }
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
