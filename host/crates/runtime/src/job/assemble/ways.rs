//! The ways out of a node: to its neighbours in the chain, and into exchanges.

use std::sync::Arc;

use gristmill_dataflow::document::KeyBy;
use gristmill_dataflow::plan::{ExchangePlan, Partitioning, Route};
use gristmill_types::{InputIndex, NodeId, SubtaskIndex};

use super::{Builder, at};
use crate::exchange::inbox::ChannelSender;
use crate::exchange::keys::Keying;
use crate::exchange::writer::{ExchangeWriter, Spread};
use crate::job::spec::StartError;
use crate::task::chain::{Outlet, Receiver, Way};

impl Builder<'_> {
    pub(super) fn way(
        &self,
        task: usize,
        place: usize,
        subtask: SubtaskIndex,
        route: &Route,
        exchanges: &mut Vec<Outlet>,
    ) -> Result<Way, StartError> {
        match route {
            Route::Chained { node, input, key_by } => {
                let target = &self.plan().tasks[task].nodes[*node];
                let keying = key_by.as_ref().map(|key_by| self.keying(key_by, &target.id)).transpose()?;
                Ok(Way::Node { node: *node, input: *input, keying, to: self.receiver(&target.id, *input, subtask) })
            }
            Route::Exchange(exchange) => {
                let plan = &self.plan().exchanges[*exchange];
                let sender = &self.plan().tasks[task].nodes[place].id;
                let target = &self.plan().tasks[plan.to].nodes[0].id;
                exchanges.push(Outlet {
                    writer: self.writer(plan, subtask, target)?,
                    sender: Arc::clone(&self.seat(sender).counters[subtask.at()]),
                    to: self.receiver(target, plan.input, SubtaskIndex(0)),
                });
                Ok(Way::Exchange(exchanges.len() - 1))
            }
        }
    }

    fn writer(
        &self,
        plan: &ExchangePlan,
        subtask: SubtaskIndex,
        target: &NodeId,
    ) -> Result<ExchangeWriter, StartError> {
        let credit = usize::try_from(self.plan().batch.channel_bytes.as_u64()).unwrap_or(usize::MAX);
        let receivers = &self.inboxes[plan.to];
        let all =
            || -> Vec<ChannelSender> { receivers.iter().map(|inbox| inbox.add_channel(plan.input, credit)).collect() };
        let (spread, channels) = match &plan.partitioning {
            Partitioning::KeyBy(key_by) => (Spread::ByKey(self.keying(key_by, target)?), all()),
            Partitioning::Forward => (Spread::Forward, vec![receivers[subtask.at()].add_channel(plan.input, credit)]),
            Partitioning::Rebalance => (Spread::Rebalance(subtask.at()), all()),
            Partitioning::Broadcast => (Spread::Broadcast, all()),
        };
        Ok(ExchangeWriter::new(spread, channels, self.plan().max_parallelism))
    }

    fn keying(&self, key_by: &KeyBy, target: &NodeId) -> Result<Keying, StartError> {
        Keying::new(key_by, self.parts).map_err(at(target))
    }

    fn receiver(&self, target: &NodeId, input: InputIndex, subtask: SubtaskIndex) -> Receiver {
        let seat = self.seat(target);
        Receiver {
            operator: target.clone(),
            input: seat.inputs.get(input.at()).map(|(name, _)| name.clone()).unwrap_or_default(),
            counters: Arc::clone(&seat.counters[subtask.at()]),
        }
    }
}
