//! How far the swap is: told to whoever follows it, to the modules of the job, to its events and the log.

use std::time::Instant;

use gristmill_checkpoint::swap::SwapStage;
use gristmill_types::{Parallelism, SubtaskIndex};

use super::{SwapsUnderWay, UnderWay};
use crate::event::JobEventKind;
use crate::job::conduct::Seen;
use crate::job::swap_points::crash_at;

impl SwapsUnderWay<'_> {
    /// Says how far it is, to all who want to know.
    pub(super) fn moved(&mut self, before: SwapStage, stage: SwapStage) {
        let Some(current) = &self.current else { return };
        let (node, mut cause) = (current.node.clone(), current.machine.cause().map(str::to_owned));
        let failed = current.comparison.conduct(self.seat(&node)).failed;
        match stage {
            SwapStage::Probation | SwapStage::Done if before != SwapStage::Probation => {
                self.job.modules().decided();
            }
            SwapStage::Undoing | SwapStage::Undone => self.job.modules().taken_back(),
            // The barrier is out: wherever it has passed, these are the states.
            SwapStage::Switching => self.job.modules().states_are(&node, current.states.clone()),
            SwapStage::Preparing
            | SwapStage::Prepared
            | SwapStage::Switched
            | SwapStage::Held
            | SwapStage::Canary
            | SwapStage::Probation
            | SwapStage::Done => {}
        }
        let (events, seen) = (self.events_in(&node), Seen::now(self.seat(&node)));
        let Some(current) = &mut self.current else { return };
        if matches!(stage, SwapStage::Switched | SwapStage::Probation | SwapStage::Held) && before != SwapStage::Held {
            current.comparison.switched(seen);
        }
        if matches!(stage, SwapStage::Probation | SwapStage::Held) {
            current.events_before = events;
        }
        // What is rewound takes its letters with it.
        if let Some(cause) = cause.as_mut().filter(|_| failed > 0 && !current.machine.rewinds()) {
            cause.push_str(&format!(
                "; the dead letters of {failed} events that it failed at can be replayed to the module that runs now"
            ));
        }
        let share = current.machine.share();
        let mut message = match share.is_whole() {
            true => format!("module {} in the place of {}", current.new, current.old),
            false => format!("module {} beside {}, with {share} of the key groups", current.new, current.old),
        };
        if let Some(cause) = &cause {
            message = format!("{message}: {cause}");
            tracing::warn!(job = %self.job.id, operator = %node, ?stage, cause, "swap");
        } else {
            tracing::info!(job = %self.job.id, operator = %node, ?stage, new = %current.new, "swap");
        }
        self.job.events.say(Some(&node), None, JobEventKind::Swap { stage, message });
        current.report.send_modify(|report| {
            (report.stage, report.cause, report.failed) = (stage, cause, failed);
            let is_decided = matches!(stage, SwapStage::Canary | SwapStage::Probation | SwapStage::Done);
            report.share = report.share.map(|before| if is_decided { share } else { before });
        });
        crash_at(before, stage);
    }
}

impl UnderWay {
    /// The first events went through the new instance of a subtask, one of so many.
    pub(super) fn flows(&mut self, subtask: SubtaskIndex, of: Parallelism, first: Instant) {
        let us = |from: Instant, to: Instant| {
            u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
        };
        let Some(through) = self.through.get_mut(&subtask) else { return };
        through.1 = Some(first);
        let pause_us = through.0.map(|last| us(last, first));
        let last = self.through.values().filter_map(|(last, _)| *last).min();
        let firsts: Option<Vec<Instant>> = self.through.values().map(|(_, first)| *first).collect();
        // Of some it may not be heard yet that they have switched.
        let firsts = firsts.filter(|firsts| firsts.len() == of.subtasks().count());
        let all_first = firsts.and_then(|firsts| firsts.into_iter().max());
        self.report.send_modify(|report| {
            let pauses = report.pauses.iter_mut().filter(|pause| pause.subtask == subtask);
            pauses.for_each(|pause| pause.pause_us = pause_us);
            report.gap_us = last.zip(all_first).map(|(last, first)| us(last, first));
        });
    }
}
