//! What an operator task hands on of the watermarks of its channels.

use std::sync::Arc;

use gristmill_types::{EventBatch, InputIndex, StreamElement};

use super::*;
use crate::counters::NodeCounters;
use crate::exchange::inbox::Inbox;
use crate::task::chain::{ChainNode, Way, Work};
use crate::task::fixture::chain;

const BOUNDS: GatherBounds = GatherBounds { rows: 1, bytes: 1, delay: Duration::ZERO };

/// What a task with two channels hands on of event time, if these elements come through them. An event precedes
/// each: unheard words on event time that stand side by side would become one.
fn handed_on(told: [&[StreamElement]; 2]) -> Vec<String> {
    let (own, next) = (Inbox::new(), Inbox::new());
    for elements in told {
        let channel = own.add_channel(InputIndex(0), 1 << 20);
        for element in elements {
            let mut event = EventBatch::default();
            event.push(0, None, None);
            channel.send(StreamElement::Batch(Arc::new(event))).unwrap();
            channel.send(element.clone()).unwrap();
        }
    }
    let counters = Arc::new(NodeCounters::new(1, &[]));
    let work = Work::Source { id: "head".parse().unwrap(), counters, tap: Arc::default() };
    let nodes = vec![ChainNode { work, ports: vec![vec![Way::Exchange(0)]] }];
    let chain = chain(nodes, &own, &next);
    OperatorTask { chain, bounds: BOUNDS }.run_to_end().unwrap();
    let heard = std::iter::from_fn(|| match next.hear(BOUNDS, Some(Duration::ZERO)) {
        Heard::Quiet => None,
        heard => Some(heard),
    });
    let said = heard.filter_map(|heard| match heard {
        Heard::Watermark(_, Watermark::END) => Some("complete".to_owned()),
        Heard::Watermark(_, Watermark(time)) => Some(time.to_string()),
        Heard::Idle(_) => Some("idle".to_owned()),
        Heard::End => Some("end".to_owned()),
        Heard::Batch(..) => None,
        other => panic!("nobody said {other:?}"),
    });
    said.collect()
}

fn at(time: i64) -> StreamElement {
    StreamElement::Watermark(Watermark(time))
}

const COMPLETE: StreamElement = StreamElement::Watermark(Watermark::END);
const END: StreamElement = StreamElement::EndOfInput;

#[test]
fn event_time_is_complete_once_it_is_in_all_channels() {
    assert_eq!(handed_on([&[COMPLETE, END], &[at(5), COMPLETE, END]]), ["5", "complete", "end"]);
}

#[test]
fn a_channel_that_was_stopped_does_not_complete_event_time() {
    assert_eq!(handed_on([&[at(3), END], &[COMPLETE, END]]), ["3", "end"]);
    assert_eq!(handed_on([&[COMPLETE, END], &[at(3), END]]), ["3", "end"]);
}

#[test]
fn the_watermark_is_the_least_of_the_channels_and_never_goes_back() {
    assert_eq!(handed_on([&[at(4), at(2), at(9), END], &[at(7), at(8), END]]), ["4", "8", "end"]);
}

#[test]
fn a_task_whose_channels_are_idle_or_complete_says_that_it_is_idle() {
    assert_eq!(handed_on([&[StreamElement::Idle, at(6), END], &[COMPLETE, END]]), ["idle", "6", "end"]);
}
