//! The end of a source as the next task hears it.

use std::collections::VecDeque;

use gristmill_types::CheckpointId;

use super::*;
use crate::control::Receipts;
use crate::exchange::heard::{GatherBounds, Heard};
use crate::exchange::inbox::Inbox;
use crate::task::chain::{ChainNode, Way, Work};
use crate::task::fixture::chain;

/// Gives one batch after the other; after the last, tells its own inbox something and waits, or ends.
struct Script {
    batches: VecDeque<EventBatch>,
    then: Option<(Arc<Inbox>, Control)>,
}

impl SourceReader for Script {
    fn poll_next(&mut self, _: &mut Context<'_>, _: ReadBounds) -> Poll<Result<Option<SourceBatch>, PortError>> {
        match (self.batches.pop_front(), self.then.take()) {
            (Some(events), then) => {
                self.then = then;
                Poll::Ready(Ok(Some(SourceBatch { events, undecodable: Vec::new() })))
            }
            (None, Some((inbox, control))) => {
                inbox.tell(control);
                Poll::Pending
            }
            (None, None) => Poll::Ready(Ok(None)),
        }
    }

    fn decode_again(&mut self, raw: &[u8], _: &str) -> SourceBatch {
        SourceBatch { events: one(raw), undecodable: Vec::new() }
    }
}

fn one(value: &[u8]) -> EventBatch {
    let mut batch = EventBatch::default();
    batch.push(0, None, Some(value));
    batch
}

/// A source of two events with an exchange behind it, and what comes out of the exchange.
fn heard_after(max_delay: Duration, then: impl FnOnce(Arc<Inbox>) -> Option<(Arc<Inbox>, Control)>) -> Vec<String> {
    let (own, next) = (Inbox::new(), Inbox::new());
    let counters = Arc::new(NodeCounters::new(1, &[]));
    let id: NodeId = "source".parse().unwrap();
    let work = Work::Source { id: id.clone(), counters: Arc::clone(&counters), tap: Arc::default() };
    let nodes = vec![ChainNode { work, ports: vec![vec![Way::Exchange(0)]] }];
    let chain = chain(nodes, &own, &next);
    let reader = Box::new(Script { batches: [one(b"a"), one(b"b")].into(), then: then(own) });
    let mut task = SourceTask { id, reader, chain, counters, max_rows: 100, max_bytes: 1 << 20, max_delay };
    task.run_to_end().unwrap();

    let bounds = GatherBounds { rows: 1, bytes: 1, delay: Duration::ZERO };
    std::iter::from_fn(|| match next.hear(bounds, Some(Duration::ZERO)) {
        Heard::Batch(_, events) => {
            Some(events.values().iter().flatten().map(String::from_utf8_lossy).collect::<Vec<_>>().join("+"))
        }
        Heard::Watermark(_, Watermark::END) => Some("complete".to_owned()),
        Heard::End => Some("end".to_owned()),
        Heard::Quiet => None,
        other => panic!("nobody said {other:?}"),
    })
    .collect()
}

#[test]
fn bounded_input_ends_with_its_final_watermark() {
    assert_eq!(heard_after(Duration::ZERO, |_| None), ["a", "b", "complete", "end"]);
}

#[test]
fn a_stop_does_not_complete_event_time() {
    assert_eq!(heard_after(Duration::ZERO, |inbox| Some((inbox, Control::Stop))), ["a", "b", "end"]);
}

#[test]
fn what_waits_for_company_leaves_when_the_source_ends_or_stops() {
    let hour = Duration::from_secs(3600);
    assert_eq!(heard_after(hour, |_| None), ["a+b", "complete", "end"]);
    assert_eq!(heard_after(hour, |inbox| Some((inbox, Control::Stop))), ["a+b", "end"]);
}

#[test]
fn a_delay_beyond_all_clocks_is_no_bug() {
    assert_eq!(heard_after(Duration::MAX, |_| None), ["a+b", "complete", "end"]);
}

#[test]
fn a_letter_told_before_the_end_is_taken_in() {
    let mut receipts = Receipts::new();
    let taken = receipts.give();
    let replayed = |inbox: Arc<Inbox>| {
        inbox.tell(Control::Stop);
        inbox.tell(Control::Decode { raw: b"again".to_vec(), origin: "file:1".into(), taken });
        None
    };
    assert_eq!(
        heard_after(Duration::ZERO, replayed),
        ["again", "end"],
        "the stop came first, so nothing else was read"
    );
    assert_eq!(receipts.wait(), Some(vec![CheckpointId(0)]));
}

#[test]
fn a_letter_that_waited_when_the_job_ended_was_not_taken_in() {
    let (inbox, mut receipts) = (Inbox::new(), Receipts::new());
    let told = Control::Decode { raw: Vec::new(), origin: String::new(), taken: receipts.give() };
    assert_eq!(Inbox::tell_all(vec![(&inbox, told)]), Ok(()));
    inbox.close();
    assert_eq!(receipts.wait(), None);
}

#[test]
fn a_letter_for_a_source_that_left_is_refused() {
    let kept = Arc::new(std::sync::OnceLock::new());
    let own = Arc::clone(&kept);
    heard_after(Duration::ZERO, move |inbox| {
        assert!(own.set(inbox).is_ok());
        None
    });
    let inbox = kept.get().unwrap();
    let decode = Control::Decode { raw: Vec::new(), origin: String::new(), taken: Receipts::new().give() };
    assert_eq!(Inbox::tell_all(vec![(inbox, decode)]), Err(0));
}
