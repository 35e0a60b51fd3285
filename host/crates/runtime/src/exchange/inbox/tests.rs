use gristmill_types::{CheckpointId, CheckpointKind, Watermark};

use super::*;

const AT_ONCE: GatherBounds = GatherBounds { rows: 1, bytes: 1, delay: Duration::ZERO };
const NOW: Option<Duration> = Some(Duration::ZERO);

fn batch(values: &[&str]) -> StreamElement {
    let mut batch = EventBatch::default();
    values.iter().for_each(|value| batch.push(0, None, Some(value.as_bytes())));
    StreamElement::Batch(Arc::new(batch))
}

fn barrier(number: u64) -> StreamElement {
    StreamElement::Barrier(CheckpointBarrier {
        checkpoint: CheckpointId(number),
        kind: CheckpointKind::Checkpoint,
        swap: None,
    })
}

/// What is heard, in short.
fn heard(inbox: &Inbox, bounds: GatherBounds) -> String {
    match inbox.hear(bounds, NOW) {
        Heard::Batch(input, batch) => {
            let values: Vec<_> = batch.values().iter().flatten().map(String::from_utf8_lossy).collect();
            format!("{input}:{}", values.join("+"))
        }
        Heard::Barrier(barrier, _) => format!("barrier {}", barrier.checkpoint),
        Heard::End => "end".to_owned(),
        other => format!("{other:?}"),
    }
}

fn two_channels(credit: usize) -> (Arc<Inbox>, ChannelSender, ChannelSender) {
    let inbox = Inbox::new();
    let (one, two) = (inbox.add_channel(InputIndex(0), credit), inbox.add_channel(InputIndex(1), credit));
    (inbox, one, two)
}

#[test]
fn a_barrier_is_heard_once_all_channels_delivered_it() {
    let (inbox, one, two) = two_channels(1 << 20);
    for element in [batch(&["a"]), barrier(1), batch(&["after"])] {
        one.send(element).unwrap();
    }
    assert_eq!(heard(&inbox, AT_ONCE), "0:a");
    assert_eq!(heard(&inbox, AT_ONCE), "Quiet", "what stands behind the barrier waits");
    two.send(batch(&["b"])).unwrap();
    two.send(barrier(1)).unwrap();
    assert_eq!(heard(&inbox, AT_ONCE), "1:b");
    assert_eq!(heard(&inbox, AT_ONCE), "barrier 1");
    assert_eq!(heard(&inbox, AT_ONCE), "0:after");
}

#[test]
fn barriers_of_two_checkpoints_are_never_taken_for_one_cut() {
    let (inbox, one, two) = two_channels(1 << 20);
    for element in [barrier(7), batch(&["a"]), barrier(8)] {
        one.send(element).unwrap();
    }
    two.send(barrier(8)).unwrap();
    assert_eq!(heard(&inbox, AT_ONCE), "0:a", "the other channel has gone past checkpoint 7: nobody waits for it");
    assert_eq!(heard(&inbox, AT_ONCE), "barrier 8");
    assert_eq!(heard(&inbox, AT_ONCE), "Quiet");
}

#[test]
fn a_small_batch_does_not_wait_for_company_while_another_channel_has_something() {
    let (inbox, one, two) = two_channels(1 << 20);
    two.send(batch(&["a"])).unwrap();
    one.send(batch(&["b"])).unwrap();
    let patient = GatherBounds { rows: 100, bytes: 1 << 20, delay: Duration::from_secs(3600) };
    assert_eq!(heard(&inbox, patient), "1:a");
}

#[test]
fn a_channel_that_ended_still_delivers_its_barriers() {
    let (inbox, one, two) = two_channels(1 << 20);
    two.send(StreamElement::EndOfInput).unwrap();
    assert_eq!(heard(&inbox, AT_ONCE), "end");
    one.send(barrier(2)).unwrap();
    assert_eq!(heard(&inbox, AT_ONCE), "Quiet", "or the barrier of the one that ended would be heard as another cut");
    two.send(barrier(2)).unwrap();
    assert_eq!(heard(&inbox, AT_ONCE), "barrier 2");
    assert_eq!(heard(&inbox, AT_ONCE), "Quiet");
}

#[test]
fn a_barrier_needs_no_credit() {
    let (inbox, one, _two) = two_channels(1);
    one.send(batch(&["larger than the credit"])).unwrap();
    one.send(barrier(1)).unwrap();
    assert_eq!(heard(&inbox, AT_ONCE), "0:larger than the credit");
}

#[test]
fn a_full_channel_stops_its_sender_and_no_other() {
    let (inbox, one, two) = two_channels(8);
    one.send(batch(&["first"])).unwrap();
    let sender = std::thread::spawn(move || {
        one.send(batch(&["second"])).unwrap();
        one.send(StreamElement::EndOfInput).unwrap();
    });
    two.send(batch(&["other"])).unwrap();
    let mut order = Vec::new();
    while order.last().is_none_or(|last| last != "end") {
        match heard(&inbox, AT_ONCE) {
            quiet if quiet == "Quiet" => std::thread::yield_now(),
            other => order.push(other),
        }
    }
    sender.join().unwrap();
    order.retain(|heard| heard.starts_with('0'));
    assert_eq!(order, ["0:first", "0:second"]);
}

#[test]
fn closing_frees_a_sender_that_waits() {
    let (inbox, one, _two) = two_channels(1);
    one.send(batch(&["first"])).unwrap();
    let sender = std::thread::spawn(move || one.send(batch(&["second"])));
    inbox.close();
    assert!(matches!(sender.join().unwrap(), Err(Closed)));
    assert_eq!(heard(&inbox, AT_ONCE), "Closed");
}

#[test]
fn small_batches_come_together_up_to_the_bound() {
    let (inbox, one, _two) = two_channels(1 << 20);
    for value in ["a", "b", "c", "d"] {
        one.send(batch(&[value])).unwrap();
    }
    let bounds = GatherBounds { rows: 3, bytes: 1 << 20, delay: Duration::ZERO };
    assert_eq!(heard(&inbox, bounds), "0:a+b+c");
    assert_eq!(heard(&inbox, bounds), "0:d");
}

#[test]
fn batches_on_both_sides_of_a_barrier_stay_apart() {
    let inbox = Inbox::new();
    let one = inbox.add_channel(InputIndex(0), 1 << 20);
    for element in [batch(&["a"]), barrier(1), batch(&["b"])] {
        one.send(element).unwrap();
    }
    let bounds = GatherBounds { rows: 9, bytes: 1 << 20, delay: Duration::ZERO };
    let order: Vec<_> = (0..3).map(|_| heard(&inbox, bounds)).collect();
    assert_eq!(order, ["0:a", "barrier 1", "0:b"]);
}

#[test]
fn control_overtakes_events() {
    let (inbox, one, _two) = two_channels(1 << 20);
    one.send(batch(&["a"])).unwrap();
    inbox.tell(Control::Pause);
    assert!(matches!(inbox.hear(AT_ONCE, NOW), Heard::Control(Control::Pause)));
}

#[test]
fn several_subtasks_are_told_all_or_nothing() {
    let (one, two) = (Inbox::new(), Inbox::new());
    let told = || vec![(&*two, Control::Pause), (&*one, Control::Resume), (&*two, Control::Stop)];
    assert_eq!(Inbox::tell_all(told()), Ok(()));
    assert!(matches!(two.leave(), Ok(Some(Control::Pause))), "in the order in which it was told");
    assert!(matches!(two.leave(), Ok(Some(Control::Stop))));
    assert!(matches!(one.leave(), Ok(Some(Control::Resume))), "what was told is heard before the door shuts");
    assert!(matches!(one.leave(), Ok(None)));
    assert_eq!(Inbox::tell_all(told()), Err(1), "the second of these has left");
    assert!(matches!(two.control(), Ok(None)), "so the first was not told either");
}

#[test]
fn a_job_that_is_over_keeps_no_batches() {
    let (inbox, one, _two) = two_channels(1 << 20);
    let StreamElement::Batch(kept) = batch(&["a"]) else { unreachable!("a batch was made") };
    one.send(StreamElement::Batch(Arc::clone(&kept))).unwrap();
    inbox.close();
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn what_is_said_of_event_time_does_not_pile_up_before_a_busy_receiver() {
    let (inbox, one, _two) = two_channels(1 << 20);
    for time in 0..1000 {
        one.send(StreamElement::Watermark(Watermark(time))).unwrap();
        one.send(StreamElement::Idle).unwrap();
        one.send(StreamElement::Idle).unwrap();
    }
    one.send(batch(&["a"])).unwrap();
    one.send(StreamElement::Watermark(Watermark(2000))).unwrap();
    assert_eq!(heard(&inbox, AT_ONCE), "Watermark(0, Watermark(999))");
    assert_eq!(heard(&inbox, AT_ONCE), "Idle(0)");
    assert_eq!(heard(&inbox, AT_ONCE), "0:a", "event time never overtakes events");
    assert_eq!(heard(&inbox, AT_ONCE), "Watermark(0, Watermark(2000))");
    assert_eq!(heard(&inbox, AT_ONCE), "Quiet");
}
