//! The loop of a subtask that is fed by exchanges.

use std::time::Duration;

use gristmill_types::Watermark;

use crate::exchange::inbox::{GatherBounds, Heard};
use crate::task::chain::Chain;
use crate::task::control::Control;
use crate::task::surroundings::TaskEnd;
use crate::watermark::WatermarkCombiner;

/// One subtask with an operator or a sink at its head.
pub(crate) struct OperatorTask {
    pub(crate) chain: Chain,
    pub(crate) bounds: GatherBounds,
}

impl OperatorTask {
    /// Hears and acts until all channels have ended.
    pub(crate) fn run(mut self) -> Result<(), TaskEnd> {
        let mut open = self.chain.around.inbox.channels();
        let mut watermarks = WatermarkCombiner::new(open);
        let mut last = Watermark::START;
        while open > 0 {
            let moved = match self.hear()? {
                Heard::Control(control) => {
                    self.obey(control)?;
                    None
                }
                Heard::Batch(input, batch) => {
                    self.chain.deliver(0, input, batch)?;
                    None
                }
                Heard::Watermark(channel, watermark) => watermarks.advance(channel, watermark),
                Heard::Idle(channel) => {
                    let moved = watermarks.idle(channel);
                    if watermarks.all_idle() {
                        self.chain.idle()?;
                    }
                    moved
                }
                // A channel that ended holds nothing back; whether event time is complete, its last watermark says.
                Heard::End(channel) => {
                    open -= 1;
                    watermarks.idle(channel)
                }
                Heard::Barrier(barrier) => {
                    self.chain.barrier(barrier)?;
                    None
                }
                Heard::Quiet => None,
                Heard::Closed => return Err(TaskEnd::Closed),
            };
            if let Some(watermark) = moved.filter(|watermark| *watermark > last) {
                last = watermark;
                self.chain.watermark(watermark)?;
            }
        }
        self.chain.end()
    }

    /// The next thing; sinks are flushed before a wait.
    fn hear(&mut self) -> Result<Heard, TaskEnd> {
        match self.chain.around.inbox.hear(self.bounds, Some(Duration::ZERO)) {
            Heard::Quiet => {
                self.chain.flush()?;
                Ok(self.chain.around.inbox.hear(self.bounds, None))
            }
            heard => Ok(heard),
        }
    }

    fn obey(&mut self, control: Control) -> Result<(), TaskEnd> {
        match control {
            Control::Replay { node, input, events } => self.chain.deliver(node, input, events),
            // Meant for sources.
            Control::Pause | Control::Resume | Control::Stop | Control::Decode { .. } => Ok(()),
        }
    }
}
