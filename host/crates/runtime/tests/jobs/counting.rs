//! A job that counts by key, and what outlives its crashes.

use gristmill_ports::state::StateBackend;
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::{CheckpointId, CheckpointKind, Column, EventBatch, Outcome, Rows, StateIndex};

use crate::fakes::native::emitted;
use crate::fakes::{Book, MemoryStore, Native, Running, Tape, World};

/// Two subtasks count by key what one source gives; a book keeps the counts.
pub(crate) const COUNT: &str = "
sources: {in: {from: generator, parallelism: 1}}
operators: {count: {module: count@1, parallelism: 2, inputs: {in: {from: in, key_by: $.k}}}}
sinks: {out: {inputs: [count], to: blackhole, parallelism: 2}}
checkpoint: {every: never}
restart: {fixed: {delay: 1ms, attempts: 1000}}
";

/// Emits `key=count` for each event.
pub(crate) fn count() -> Native {
    let mut native = Native::new(&["in"], &["out"], |_| Ok(Box::new(|_, events, state| Ok(counted(events, state)))));
    native.descriptor.inputs[0].keyed = true;
    native.descriptor.states = vec![StateSpec {
        name: "count".into(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::ProcessingTime,
    }];
    native
}

pub(crate) fn counted(events: &EventBatch, state: &mut Box<dyn StateBackend>) -> Outcome {
    let mut results = Column::default();
    for row in 0..events.len() as u32 {
        let read = state.get(StateIndex(0), &[row]).unwrap();
        let before = read.values.get(0).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let now: Column = [Some(&(before + 1).to_le_bytes()[..])].into_iter().collect();
        state.put(StateIndex(0), &[row], &now).unwrap();
        let key = String::from_utf8_lossy(events.keys().bytes_of(row as usize)).into_owned();
        results.push(Some(format!("{key}={}", before + 1).as_bytes()));
    }
    emitted(0, Rows::Mapped { rows: (0..events.len() as u32).collect(), values: results })
}

/// What outlives a crash.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) tape: Tape,
    pub(crate) book: Book,
    pub(crate) store: MemoryStore,
}

impl Outside {
    pub(crate) fn new(length: usize) -> Self {
        Self { tape: Tape::new(length, 5), book: Book::default(), store: MemoryStore::default() }
    }

    pub(crate) fn world(&self) -> World {
        World::default().time_passes().tape("in", &self.tape).book("out", &self.book).store(&self.store)
    }

    pub(crate) fn start(&self) -> Running {
        self.world().operator("count", count()).start(COUNT)
    }

    /// Plays to here and makes a checkpoint there.
    pub(crate) fn checkpoint_at(&self, job: &Running, until: usize) -> CheckpointId {
        self.tape.play(until);
        self.tape.wait_reached(until);
        checkpoint(job)
    }

    /// The host is gone without a word, and back.
    pub(crate) fn crash(&self, job: &Running) -> Running {
        job.handle.abandon();
        job.is_gone();
        self.start()
    }
}

/// Makes a checkpoint and waits for it; gives its number. Asks again if the job starts anew meanwhile.
pub(crate) fn checkpoint(job: &Running) -> CheckpointId {
    let completed = job.handle.checkpoints().completed;
    loop {
        // Between two attempts there is nobody to ask.
        let _ = job.handle.checkpoint(CheckpointKind::Checkpoint);
        if let Some(number) = job.hears_checkpoint(completed + 1) {
            return number;
        }
        let status = job.handle.status();
        assert!(!status.state.is_final(), "no checkpoint any more: {status:?}");
    }
}
