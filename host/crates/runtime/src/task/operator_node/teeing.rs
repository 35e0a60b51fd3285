//! What an operator did goes into a tee as well, for its shadow. While there is none, a branch a call.

use std::sync::Arc;

use gristmill_ports::Call;
use gristmill_types::{CheckpointId, EventBatch, InputIndex, PortIndex, Rejection};

use crate::shadow::tee::{Tee, TeedCall};

/// See the module.
#[derive(Default)]
pub(crate) struct Teeing {
    /// With the checkpoint behind whose cut it begins.
    waits: Option<(CheckpointId, Tee)>,
    flows: Option<Tee>,
    /// What the newest call was told, and how many nanoseconds it took.
    last: Option<(Call, u64)>,
}

impl Teeing {
    /// From the cut of this checkpoint on, calls go into this tee; what was before it is of no use any more.
    pub(crate) fn prepare(&mut self, from: CheckpointId, tee: Tee) {
        self.flows = None;
        self.waits = Some((from, tee));
    }

    /// The cut of a checkpoint was made.
    pub(crate) fn cut(&mut self, checkpoint: CheckpointId) {
        if let Some((_, tee)) = self.waits.take_if(|(from, _)| *from == checkpoint) {
            self.flows = Some(tee);
            fail::fail_point!("shadow-teed");
        }
    }

    /// A call was made.
    pub(super) fn note(&mut self, call: &Call, took_ns: u64) {
        self.last = Some((*call, took_ns));
    }

    /// It took effect.
    pub(super) fn offer(
        &mut self,
        input: InputIndex,
        events: &Arc<EventBatch>,
        output: &[(PortIndex, Arc<EventBatch>)],
        rejections: &[Rejection],
    ) {
        let Some((tee, (call, took_ns))) = self.flows.as_ref().zip(self.last) else { return };
        let goes_on = tee.offer(TeedCall {
            input,
            events: Arc::clone(events),
            watermark: call.watermark,
            processing_time_ms: call.processing_time_ms,
            output: output.to_vec(),
            rejected: rejections.iter().map(|rejection| rejection.row).collect(),
            took_ns,
        });
        if !goes_on {
            self.flows = None;
        }
    }
}
