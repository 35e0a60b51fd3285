//! The loop of a subtask that is fed by exchanges.

use std::time::Duration;

use gristmill_types::Watermark;

use crate::control::Control;
use crate::ending::TaskEnd;
use crate::exchange::heard::{GatherBounds, Heard};
use crate::task::chain::Chain;
use crate::watermark::WatermarkCombiner;

/// One subtask with an operator or a sink at its head.
pub(crate) struct OperatorTask {
    pub(crate) chain: Chain,
    pub(crate) bounds: GatherBounds,
}

impl OperatorTask {
    /// Hears and acts until all channels have ended, and lingers until all of it is committed.
    pub(crate) fn run(&mut self) -> Result<(), TaskEnd> {
        self.run_to_end()?;
        self.linger()
    }

    fn run_to_end(&mut self) -> Result<(), TaskEnd> {
        let mut open = self.chain.around.inbox.channels();
        let mut watermarks = WatermarkCombiner::new(open, self.chain.event_time);
        while open > 0 {
            match self.hear()? {
                Heard::Control(control) => self.obey(control)?,
                Heard::Batch(input, batch) => {
                    self.chain.deliver(0, input, batch)?;
                    self.chain.flush_if_due()?;
                    self.chain.drain_slice();
                }
                Heard::Watermark(channel, watermark) => {
                    let moved = watermarks.advance(channel, watermark);
                    self.hand_on(moved, watermarks.all_idle())?;
                }
                Heard::Idle(channel) => {
                    let moved = watermarks.idle(channel);
                    self.hand_on(moved, watermarks.all_idle())?;
                }
                // What the channel last said of event time stands: if it was stopped, event time is not complete.
                Heard::End => open -= 1,
                Heard::Barrier(barrier, aligned) => self.chain.barrier(barrier, aligned, None)?,
                Heard::Quiet => {}
                Heard::Closed => return Err(TaskEnd::Closed),
            }
        }
        while let Some(control) = self.chain.around.inbox.leave()? {
            self.obey(control)?;
        }
        self.chain.end()
    }

    /// Passes barriers on, and does nothing else, until told to leave.
    fn linger(&mut self) -> Result<(), TaskEnd> {
        loop {
            match self.hear()? {
                Heard::Control(Control::Leave) => return Ok(()),
                Heard::Control(control) => self.obey(control)?,
                Heard::Barrier(barrier, aligned) => self.chain.barrier(barrier, aligned, None)?,
                Heard::Closed => return Err(TaskEnd::Closed),
                // All channels have ended; nothing else comes through them.
                Heard::Batch(..) | Heard::Watermark(..) | Heard::Idle(_) | Heard::End | Heard::Quiet => {}
            }
        }
    }

    /// Hands event time on; idleness last, since a watermark ends it.
    fn hand_on(&mut self, moved: Option<Watermark>, all_idle: bool) -> Result<(), TaskEnd> {
        if let Some(watermark) = moved {
            self.chain.watermark(watermark)?;
        }
        if all_idle { self.chain.idle() } else { Ok(()) }
    }

    /// The next thing; sinks are flushed before a wait.
    fn hear(&mut self) -> Result<Heard, TaskEnd> {
        match self.chain.around.inbox.hear(self.bounds, Some(Duration::ZERO)) {
            Heard::Quiet if self.chain.drain_slice() => Ok(Heard::Quiet),
            Heard::Quiet => {
                self.chain.flush()?;
                Ok(self.chain.around.inbox.hear(self.bounds, None))
            }
            heard => Ok(heard),
        }
    }

    fn obey(&mut self, control: Control) -> Result<(), TaskEnd> {
        match control {
            Control::Replay { node, input, events, taken } => {
                self.chain.deliver(node, input, events)?;
                taken.say(self.chain.around.passed);
                Ok(())
            }
            Control::Swap(step) => self.chain.swap(step),
            Control::State(asked) => self.chain.act_on_state(&asked),
            Control::Shadow(shadow) => {
                self.chain.shadow(shadow);
                Ok(())
            }
            // Meant for sources, or for those who have come to their end.
            Control::Pause
            | Control::Resume
            | Control::Hold(_)
            | Control::Stop
            | Control::StopHere
            | Control::Drain
            | Control::Decode { .. }
            | Control::Barrier(_)
            | Control::Forget(_)
            | Control::Leave => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
