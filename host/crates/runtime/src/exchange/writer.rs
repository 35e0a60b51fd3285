//! The sending side of an exchange, for one subtask.

use std::sync::Arc;
use std::time::Duration;

use gristmill_types::{EventBatch, MaxParallelism, Parallelism, StreamElement, SubtaskIndex};

use crate::exchange::heard::Closed;
use crate::exchange::inbox::ChannelSender;
use crate::exchange::keys::Keying;

/// How a writer spreads events over the receiving subtasks.
pub(crate) enum Spread {
    /// By the key group of the key.
    ByKey(Keying),
    /// To the one receiver of the same index.
    Forward,
    /// Batches in turn; holds whose turn it is.
    Rebalance(usize),
    /// Everything to everyone.
    Broadcast,
}

/// Sends the events of one subtask into an exchange.
pub(crate) struct ExchangeWriter {
    spread: Spread,
    /// One for each receiving subtask; exactly one for [`Spread::Forward`].
    channels: Vec<ChannelSender>,
    max_parallelism: MaxParallelism,
    /// Rows of the current batch for each receiver; kept to save allocations.
    rows: Vec<Vec<u32>>,
}

/// What became of a batch that was sent.
#[derive(Default)]
pub(crate) struct Sent {
    /// How long there was no room.
    pub(crate) waited: Duration,
    /// Events without a key, each with the reason.
    pub(crate) without_key: Vec<(EventBatch, String)>,
}

impl ExchangeWriter {
    pub(crate) fn new(spread: Spread, channels: Vec<ChannelSender>, max_parallelism: MaxParallelism) -> Self {
        let rows = vec![Vec::new(); channels.len()];
        Self { spread, channels, max_parallelism, rows }
    }

    /// Sends a batch, waiting for room.
    pub(crate) fn send(&mut self, batch: Arc<EventBatch>) -> Result<Sent, Closed> {
        let mut sent = Sent::default();
        match &mut self.spread {
            Spread::ByKey(keying) => {
                let keyed = keying.apply(batch);
                sent.without_key = keyed.without_key;
                if !keyed.events.is_empty() {
                    sent.waited = self.scatter(keyed.events)?;
                }
            }
            Spread::Forward => sent.waited = self.channels[0].send(StreamElement::Batch(batch))?,
            Spread::Rebalance(turn) => {
                *turn = (*turn + 1) % self.channels.len();
                sent.waited = self.channels[*turn].send(StreamElement::Batch(batch))?;
            }
            Spread::Broadcast => {
                for channel in &self.channels {
                    sent.waited += channel.send(StreamElement::Batch(Arc::clone(&batch)))?;
                }
            }
        }
        Ok(sent)
    }

    /// Sends watermarks, barriers and ends to every receiver.
    pub(crate) fn send_to_all(&self, element: &StreamElement) -> Result<(), Closed> {
        self.channels.iter().try_for_each(|channel| channel.send(element.clone()).map(drop))
    }

    fn scatter(&mut self, events: EventBatch) -> Result<Duration, Closed> {
        if let [only] = self.channels.as_slice() {
            return only.send(StreamElement::Batch(Arc::new(events)));
        }
        let receivers = u32::try_from(self.channels.len()).expect("parallelism is a u32");
        let parallelism = Parallelism(receivers.try_into().expect("an exchange has a receiver"));
        self.rows.iter_mut().for_each(Vec::clear);
        for (row, hash) in events.key_hashes().iter().enumerate() {
            let SubtaskIndex(owner) = self.max_parallelism.owner_of(self.max_parallelism.group_of(*hash), parallelism);
            self.rows[owner as usize].push(row as u32);
        }
        let mut waited = Duration::ZERO;
        for (channel, rows) in self.channels.iter().zip(&self.rows).filter(|(_, rows)| !rows.is_empty()) {
            waited += channel.send(StreamElement::Batch(Arc::new(events.gather(rows))))?;
        }
        Ok(waited)
    }
}

#[cfg(test)]
mod tests {
    use gristmill_types::InputIndex;
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::heard::{GatherBounds, Heard};
    use crate::exchange::inbox::Inbox;

    const ALL: GatherBounds = GatherBounds { rows: usize::MAX, bytes: usize::MAX, delay: Duration::ZERO };

    fn writer(spread: Spread, receivers: usize) -> (ExchangeWriter, Vec<Arc<Inbox>>) {
        let inboxes: Vec<_> = (0..receivers).map(|_| Inbox::new()).collect();
        let channels = inboxes.iter().map(|inbox| inbox.add_channel(InputIndex(0), usize::MAX)).collect();
        (ExchangeWriter::new(spread, channels, MaxParallelism::DEFAULT), inboxes)
    }

    fn received(inbox: &Inbox) -> EventBatch {
        match inbox.hear(ALL, Some(Duration::ZERO)) {
            Heard::Batch(_, batch) => Arc::unwrap_or_clone(batch),
            _ => EventBatch::default(),
        }
    }

    proptest! {
        #[test]
        fn every_event_reaches_the_owner_of_its_key_once_and_in_order(
            keys in prop::collection::vec(0u8..20, 1..200), receivers in 1usize..6
        ) {
            let mut batch = EventBatch::default();
            for (number, key) in keys.iter().enumerate() {
                batch.push(number as i64, Some(&[*key]), None);
            }
            let (mut writer, inboxes) = writer(Spread::ByKey(Keying::Own), receivers);
            for part in [batch.slice(0..keys.len() / 2), batch.slice(keys.len() / 2..keys.len())] {
                if !part.is_empty() {
                    writer.send(Arc::new(part)).expect("open");
                }
            }
            let parallelism = Parallelism((receivers as u32).try_into().expect("not zero"));
            let mut seen = Vec::new();
            for (index, inbox) in inboxes.iter().enumerate() {
                let got = received(inbox);
                prop_assert!(got.timestamps().is_sorted(), "order kept");
                for row in 0..got.len() {
                    let group = MaxParallelism::DEFAULT.group_of(got.key_hashes()[row]);
                    let owner = MaxParallelism::DEFAULT.owner_of(group, parallelism);
                    prop_assert_eq!(owner.at(), index);
                    prop_assert_eq!(got.keys().bytes_of(row), &[keys[got.timestamps()[row] as usize]][..]);
                }
                seen.extend_from_slice(got.timestamps());
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..keys.len() as i64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_event_without_a_key_is_handed_back_with_the_reason() {
        let mut batch = EventBatch::default();
        batch.push(1, Some(b"a"), None);
        batch.push(2, None, None);
        let (mut writer, inboxes) = writer(Spread::ByKey(Keying::Own), 1);
        let sent = writer.send(Arc::new(batch)).expect("open");
        assert_eq!(sent.without_key.len(), 1);
        assert_eq!(sent.without_key[0].0.timestamps(), [2]);
        assert_eq!(received(&inboxes[0]).timestamps(), [1]);
    }

    #[test]
    fn rebalance_takes_turns_and_broadcast_reaches_all() {
        let one = || {
            let mut batch = EventBatch::default();
            batch.push(1, None, None);
            Arc::new(batch)
        };
        let count = |spread: Spread| {
            let (mut writer, inboxes) = writer(spread, 3);
            (0..3).for_each(|_| drop(writer.send(one()).expect("open")));
            inboxes.iter().map(|inbox| received(inbox).len()).collect::<Vec<_>>()
        };
        assert_eq!(count(Spread::Rebalance(0)), [1, 1, 1]);
        assert_eq!(count(Spread::Broadcast), [3, 3, 3]);
    }
}
