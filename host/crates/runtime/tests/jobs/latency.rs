//! Events wait for nothing, unless the job asks for it.

use std::time::{Duration, Instant};

use gristmill_ports::catalog::JobState;

use crate::fakes::{Feed, Native, Running, Step, World};

fn started(feed: &Feed, batch: &str) -> Running {
    World::default().feed("in", feed).operator("pass", Native::map(|_, value| value.to_owned())).start(&format!(
        "
batch: {{{batch}}}
sources: {{in: {{from: generator}}}}
operators: {{pass: {{module: pass@1, inputs: {{in: {{from: in, partition: rebalance}}}}}}}}
sinks: {{out: {{inputs: [pass], to: blackhole}}}}
"
    ))
}

#[test]
fn a_single_event_reaches_the_sink_and_leaves_it_without_company() {
    let feed = Feed::default();
    let job = started(&feed, "");
    for number in 0..100 {
        feed.push_values([number.to_string()]);
        // Flushed too: the next event comes only when this one is out of the host.
        job.shelf("out").wait(|shelf| shelf.flushed == number + 1);
    }
    feed.push(Step::End);
    job.ends(JobState::Finished);
}

#[test]
fn an_event_waits_for_company_as_long_as_the_job_allows_and_no_longer() {
    let feed = Feed::default();
    let job = started(&feed, "max_delay: 100ms");
    let sent = Instant::now();
    feed.push_values(["alone"]);
    job.shelf("out").wait_for(1);
    assert!(sent.elapsed() >= Duration::from_millis(100), "it left before its time");
    job.handle.stop().unwrap();
    job.ends(JobState::Stopped);
}

#[test]
fn a_full_batch_waits_no_longer() {
    let feed = Feed::default();
    let job = started(&feed, "max_delay: 1h, max_rows: 2");
    feed.push_values(["a"]);
    feed.wait_hungry();
    assert!(job.shelf("out").values().is_empty());
    feed.push_values(["b"]);
    assert_eq!(job.shelf("out").wait_for(2), ["a", "b"]);
    assert_eq!(job.shelf("out").look(|shelf| shelf.writes), 1, "they left together");
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

#[test]
fn a_pause_sends_on_what_waits_for_company() {
    let feed = Feed::default();
    let job = started(&feed, "max_delay: 1h, max_rows: 4");
    feed.push_values(["a"]);
    feed.wait_hungry();
    job.handle.pause().unwrap();
    job.shelf("out").wait_for(1);
    job.handle.stop().unwrap();
    job.ends(JobState::Stopped);
}
