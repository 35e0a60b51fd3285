//! Nothing in a job queues without a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use gristmill_ports::catalog::JobState;
use gristmill_ports::source::ReadBounds;
use gristmill_ports::{PortError, SourceBatch, SourceReader};

use crate::fakes::{Native, Shelf, World, events};

/// Batches of a run.
const BATCHES: usize = 500;
const ROWS: usize = 10;

/// Gives one batch after the other, and looks at how much was inside each time.
struct Measuring {
    given: usize,
    written: Shelf,
    most_inside: Arc<AtomicUsize>,
    /// Told how many are out.
    taken: crate::fakes::Feed,
}

impl SourceReader for Measuring {
    fn poll_next(&mut self, _: &mut Context<'_>, _: ReadBounds) -> Poll<Result<Option<SourceBatch>, PortError>> {
        if self.given == BATCHES {
            return Poll::Ready(Ok(None));
        }
        self.given += 1;
        let inside = self.given - self.written.look(|shelf| shelf.writes);
        self.most_inside.fetch_max(inside, Ordering::SeqCst);
        self.taken.count();
        let events = events((0..ROWS).map(|_| "x".repeat(100)));
        Poll::Ready(Ok(Some(SourceBatch { events, undecodable: Vec::new() })))
    }

    fn decode_again(&mut self, _: &[u8], _: &str) -> SourceBatch {
        SourceBatch::default()
    }
}

#[test]
fn a_sink_that_stands_still_stops_its_source_and_bounds_what_is_inside() {
    let batch = events((0..ROWS).map(|_| "x".repeat(100)));
    // Two channels that hold three batches each.
    let credit = 3 * batch.bytes();
    let most_inside = Arc::new(AtomicUsize::new(0));
    let taken = crate::fakes::Feed::default();
    let mut world = World::default().operator("pass", Native::map(|_, value| value.to_owned()));
    let shelf = world.shelf("out");
    shelf.shut();
    let (written, most, counter) = (shelf.clone(), Arc::clone(&most_inside), taken.clone());
    let job = world
        .source("in", move |_| {
            let (written, most_inside, taken) = (written.clone(), Arc::clone(&most), counter.clone());
            Ok(Box::new(Measuring { given: 0, written, most_inside, taken }))
        })
        .start(&format!(
            "
batch: {{max_rows: {ROWS}, channel_bytes: {credit}}}
sources: {{in: {{from: generator, parallelism: 1}}}}
operators: {{pass: {{module: pass@1, parallelism: 2, inputs: {{in: {{from: in, partition: rebalance}}}}}}}}
sinks: {{out: {{inputs: [pass], to: blackhole, parallelism: 1}}}}
"
        ));
    // With the sink 1, in the channels to the sink 2 × 3, with the operators 2, in the channels to them 2 × 3, with
    // the source 1.
    let bound = 1 + 6 + 2 + 6 + 1;
    taken.wait_taken(bound - 3);
    shelf.open();
    job.ends(JobState::Finished);
    assert_eq!(job.shelf("out").values().len(), BATCHES * ROWS);
    let most = most_inside.load(Ordering::SeqCst);
    assert!(most <= bound, "{most} batches were inside at once, more than {bound}");
}
