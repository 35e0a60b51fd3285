//! A shadow in one subtask: a thread at the lowest priority that fills a state from a checkpoint, makes the calls that the operator
//! made since, and lays what leaves by them beside what left the operator. Nothing of it leaves but the report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use gristmill_checkpoint::{FileRef, NodeSnapshot};
use gristmill_dataflow::document::CheckpointSpec;
use gristmill_ports::parts::{PartContext, Urgency};
use gristmill_ports::state::{RestoredState, StateTime};
use gristmill_ports::{Call, FileStore, Operator, Parts, PortError, StateBackend};
use gristmill_types::{CallFailure, Descriptor, Outcome, PortIndex, Rows, SubtaskIndex};

use crate::checkpoint::patience::{Undone, until_done};
use crate::checkpoint::restored::{Restored, StateToRestore};
use crate::checkpoint::told::Told;
use crate::shadow::compare::lay_beside;
use crate::shadow::tally::Origins;
use crate::shadow::tee::{TeeEnd, Teed, TeedCall, nap_after};
use crate::shadow::{Shadow, ShadowTold};
use crate::task::operator_node::expanded;

/// What all subtasks of a shadow share.
pub(crate) struct Ground {
    pub(crate) shadow: Arc<Shadow>,
    pub(crate) descriptor: Descriptor,
    /// How the state is held.
    pub(crate) checkpoint: CheckpointSpec,
    /// The operator's page of the checkpoint that the state begins with.
    pub(crate) page: FileRef,
    pub(crate) files: Arc<dyn FileStore>,
    pub(crate) parts: Arc<dyn Parts>,
    pub(crate) told: Sender<Told>,
}

/// See the module.
pub(crate) struct Follower {
    pub(crate) ground: Arc<Ground>,
    pub(crate) context: PartContext,
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) queue: TeeEnd,
}

/// A follower whose state is filled.
struct Following {
    ground: Arc<Ground>,
    subtask: SubtaskIndex,
    operator: Box<dyn Operator>,
    state: Box<dyn StateBackend>,
    /// Changes after every failed call, as the operator's does.
    state_generation: u64,
}

impl Follower {
    /// Follows until nobody wants it any more, or it cannot.
    pub(crate) fn run(self) {
        self.ground.parts.stand_back(Urgency::Whenever);
        let (ground, room, subtask) = (Arc::clone(&self.ground), Arc::clone(self.queue.room()), self.context.subtask);
        let followed = self.follow();
        let cause = if room.is_overrun() { Some(overrun(subtask, room.bounds())) } else { followed.err().flatten() };
        if let Some(cause) = cause {
            let _ = ground.told.send(Told::Shadow(ShadowTold::Ended(Arc::clone(&ground.shadow), cause)));
        }
    }

    /// `Err(None)`: nobody wants it any more.
    fn follow(self) -> Result<(), Option<String>> {
        let state = self.filled()?;
        fail::fail_point!("shadow-filled");
        let Self { ground, context, operator, queue } = self;
        let _ = ground.told.send(Told::Shadow(ShadowTold::Filled(Arc::clone(&ground.shadow))));
        let subtask = context.subtask;
        let mut following = Following { ground, subtask, operator, state, state_generation: 0 };
        let over = following.ground.shadow.over.clone();
        let mut in_vain = 0_u32;
        while !over.is_raised() {
            match queue.next() {
                Teed::Call(call) => {
                    following.call(&call)?;
                    in_vain = 0;
                }
                Teed::Quiet => {
                    in_vain = in_vain.saturating_add(1);
                    std::thread::sleep(nap_after(in_vain));
                }
                // The attempt is about to end, and tells so.
                Teed::End => return Ok(()),
            }
        }
        Ok(())
    }

    fn filled(&self) -> Result<Box<dyn StateBackend>, Option<String>> {
        let Ground { shadow, .. } = &*self.ground;
        let filled = until_done(
            &shadow.over,
            || self.fill(),
            |error| {
                tracing::warn!(operator = %shadow.operator, error, "filling the state of a shadow is tried again");
            },
        );
        filled.map_err(|undone| match undone {
            Undone::Over => None,
            Undone::Refused(why) => Some(format!("its state cannot be filled: {why}")),
        })
    }

    fn fill(&self) -> Result<Box<dyn StateBackend>, PortError> {
        let Ground { shadow, descriptor, checkpoint, page, files, parts, .. } = &*self.ground;
        let path = files.open(page)?;
        let bytes = std::fs::read(&path)
            .map_err(|error| PortError::retry(format!("`{}` cannot be read: {error}", path.display())))?;
        let page = NodeSnapshot::decode(&bytes)
            .map_err(|why| PortError::fatal(format!("the page of `{}`: {why}", shadow.operator)))?;
        let (node, groups) = (page.node.clone(), self.context.key_groups());
        let restored = Restored(BTreeMap::from([(node.clone(), page)]));
        let mut state = parts.state(&self.context, descriptor, checkpoint)?;
        if let Some(StateToRestore { states, files: stored, groups }) = restored.state(&node, groups) {
            let time =
                StateTime { processing_ms: parts.clock().now_ms(), event_ms: restored.watermark(&node, groups).0 };
            state.restore(&RestoredState { states: &states, files: &stored, groups, time }, &**files)?;
        }
        Ok(state)
    }
}

impl Following {
    /// Makes a call that the operator made.
    fn call(&mut self, teed: &TeedCall) -> Result<(), Option<String>> {
        let call = Call {
            watermark: teed.watermark,
            processing_time_ms: teed.processing_time_ms,
            state_generation: self.state_generation,
        };
        let time = StateTime { processing_ms: teed.processing_time_ms, event_ms: teed.watermark.0 };
        let (since, worked) = (Instant::now(), self.ground.parts.worked());
        self.state.begin(&teed.events, time);
        let result = self.operator.process(&call, teed.input, &teed.events, &mut self.state);
        let result = result.and_then(|outcome| match self.state.commit() {
            Ok(()) => Ok(outcome),
            Err(error) => Err(CallFailure::Host(error.to_string())),
        });
        let worked = self.ground.parts.worked().zip(worked).map(|(after, before)| after.saturating_sub(before));
        let took = worked.unwrap_or_else(|| since.elapsed());
        match result {
            Ok(outcome) => self.lay(teed, outcome, took),
            // It was stopped: that says nothing about the module.
            Err(_) if self.ground.shadow.over.is_raised() => return Err(None),
            Err(CallFailure::Host(why)) => return Err(Some(format!("the host could not keep its state: {why}"))),
            Err(failure) => {
                self.state.roll_back();
                self.state_generation += 1;
                self.ground.shadow.tally(self.subtask).failed(&failure, teed.events.len());
            }
        }
        Ok(())
    }

    /// Lays what left by a call beside what left the operator.
    fn lay(&self, teed: &TeedCall, Outcome { emissions, rejections, .. }: Outcome, took: Duration) {
        let wants_samples = self.ground.shadow.tally(self.subtask).wants_samples();
        let mut origins: BTreeMap<PortIndex, Origins> = BTreeMap::new();
        let mut output = Vec::with_capacity(emissions.len());
        for emission in emissions {
            if wants_samples {
                origins.entry(emission.port).or_default().extend(origins_of(&emission.rows, teed.events.len()));
            }
            let events = expanded(&teed.events, emission.rows);
            if !events.is_empty() {
                output.push((emission.port, events));
            }
        }
        let laid = lay_beside(&teed.output, &output);
        let mut tally = self.ground.shadow.tally(self.subtask);
        laid.iter().for_each(|port| tally.differs(port, &teed.events, origins.get(&port.port)));
        tally.rejected(&teed.rejected, &rejections);
        let counts = &mut tally.counts;
        counts.calls += 1;
        counts.events += teed.events.len() as u64;
        counts.compared += teed.output.iter().map(|(_, events)| events.len() as u64).sum::<u64>();
        counts.primary_ns += teed.took_ns;
        counts.shadow_ns += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counts.memory_bytes = self.operator.peak_memory().unwrap_or(0);
        counts.state_bytes = self.state.size().bytes;
        fail::fail_point!("shadow-laid");
    }
}

/// The row of the input from which each event of an emission comes.
fn origins_of(rows: &Rows, length: usize) -> Origins {
    match rows {
        Rows::All => (0..length as u32).map(Some).collect(),
        Rows::Selected(rows) | Rows::Mapped { rows, .. } => rows.iter().copied().map(Some).collect(),
        Rows::Created(events) => vec![None; events.len()],
    }
}

fn overrun(subtask: SubtaskIndex, (calls, bytes): (usize, usize)) -> String {
    format!(
        "it could not follow: in subtask {subtask} a call of the operator had no room, since at most {calls} calls with {bytes} bytes \
         wait for it; nothing was kept from the stream"
    )
}
