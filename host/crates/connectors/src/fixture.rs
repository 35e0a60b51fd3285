//! What tests of many connectors need: the part of a job for which one is opened, threads, a bell.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Wake, Waker};

use gristmill_ports::Signal;
use gristmill_ports::parts::PartContext;
use gristmill_types::{AttemptId, MaxParallelism, Parallelism, RunId, SubtaskIndex};
use tokio::runtime::{Handle, Runtime};

/// The only subtask of a node, in the first attempt of the first run of the job `job`.
pub(crate) fn part(node: &str) -> PartContext {
    PartContext {
        job: "job".parse().expect("an id"),
        run: RunId(1),
        attempt: AttemptId(1),
        node: node.parse().expect("an id"),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::ONE,
        max_parallelism: MaxParallelism::DEFAULT,
        layer: 0,
        cancelled: Signal::default(),
    }
}

/// One subtask of so many.
pub(crate) fn subtask(node: &str, subtask: u32, of: u32) -> PartContext {
    let parallelism = Parallelism(NonZeroU32::new(of).expect("not zero"));
    PartContext { subtask: SubtaskIndex(subtask), parallelism, ..part(node) }
}

/// Threads for all tests.
pub(crate) fn runtime() -> Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("threads")).handle().clone()
}

/// A waker, and what it rings.
pub(crate) fn bell() -> (Waker, mpsc::Receiver<()>) {
    let (bell, rung) = mpsc::channel();
    (Waker::from(Arc::new(Bell(bell))), rung)
}

struct Bell(mpsc::Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.send(()).ok();
    }
}
