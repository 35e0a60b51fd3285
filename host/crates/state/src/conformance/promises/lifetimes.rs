//! Entries with a time to live.

use gristmill_ports::StateBackend;
use gristmill_ports::state::{StateSize, StateTime};
use gristmill_types::descriptor::ClockKind;
use gristmill_types::{CheckpointId, Column};

use crate::conformance::Open;
use crate::conformance::fixture::*;

const CLOCKS: [ClockKind; 2] = [ClockKind::EventTime, ClockKind::ProcessingTime];

/// This time by the clock; the other stands still.
fn by(clock: ClockKind, ms: i64) -> StateTime {
    match clock {
        ClockKind::EventTime => StateTime { event_ms: ms, ..at(0) },
        ClockKind::ProcessingTime => StateTime { processing_ms: ms, ..at(0) },
    }
}

/// Writes `text` everywhere under the key: as value, as item, and as entry under its own name.
fn write(backend: &mut dyn StateBackend, key: &str, text: &str, time: StateTime) {
    backend.begin(&keyed(&[key]), time);
    backend.put(VALUE, &[0], &texts(&[text])).unwrap();
    backend.list_append(LIST, &[0], &texts(&[text])).unwrap();
    backend.map_put(MAP, &[0], &texts(&[text]), &texts(&[text])).unwrap();
    backend.commit().unwrap();
}

/// Value, items and names of entries.
fn read(backend: &mut dyn StateBackend, key: &str, time: StateTime) -> (String, String, String) {
    let (value, list, map) = contents(backend, &[key], time).remove(0);
    (value.unwrap_or_default(), list.concat(), map.into_iter().map(|(name, _)| name).collect())
}

fn all(value: &str, list: &str, map: &str) -> (String, String, String) {
    (value.to_owned(), list.to_owned(), map.to_owned())
}

pub(crate) fn what_has_expired_is_never_returned(open: Open) {
    for clock in CLOCKS {
        let mut backend = open(&living(Some(10), clock));
        write(&mut *backend, "a", "1", by(clock, 100));
        write(&mut *backend, "a", "2", by(clock, 105));
        assert_eq!(read(&mut *backend, "a", by(clock, 109)), all("2", "12", "12"));
        assert_eq!(read(&mut *backend, "a", by(clock, 110)), all("2", "2", "2"));
        assert_eq!(read(&mut *backend, "a", by(clock, 114)), all("2", "2", "2"));
        assert_eq!(read(&mut *backend, "a", by(clock, 115)), all("", "", ""));
        write(&mut *backend, "a", "3", by(clock, 120));
        assert_eq!(read(&mut *backend, "a", by(clock, 121)), all("3", "3", "3"));
    }
}

pub(crate) fn a_write_begins_another_life(open: Open) {
    for clock in CLOCKS {
        let (mut backend, mut history) = (open(&living(Some(10), clock)), History::new());
        write(&mut *backend, "a", "1", by(clock, 100));
        history.checkpoint(&mut *backend);
        write(&mut *backend, "a", "1", by(clock, 109));
        history.checkpoint(&mut *backend);
        let spec = living(Some(10), clock);
        let mut restored = history.restored_as(open, &spec, &spec, by(clock, 112)).unwrap();
        for backend in [&mut backend, &mut restored] {
            assert_eq!(read(&mut **backend, "a", by(clock, 118)), all("1", "1", "1"));
            assert_eq!(read(&mut **backend, "a", by(clock, 119)), all("", "", ""));
        }
    }
}

pub(crate) fn what_has_expired_is_deleted_though_nobody_asks(open: Open) {
    let clock = ClockKind::ProcessingTime;
    let (mut backend, mut history) = (open(&living(Some(10), clock)), History::new());
    for key in 0..200 {
        write(&mut *backend, &key.to_string(), "1", at(0));
    }
    history.checkpoint(&mut *backend);
    for time in 10..1010 {
        backend.begin(&keyed(&["other"]), at(time));
        backend.commit().unwrap();
    }
    assert_eq!(backend.size(), StateSize::default());
    history.checkpoint(&mut *backend);
    history.merge(0..history.files.len(), &living(None, clock), at(0));
    assert!(history.files.is_empty(), "what was deleted takes no place in files");
}

pub(crate) fn a_time_to_live_can_be_switched_on_and_off(open: Open) {
    let clock = ClockKind::ProcessingTime;
    let (bounded, unbounded) = (living(Some(10), clock), living(None, clock));
    let (mut backend, mut history) = (open(&unbounded), History::new());
    write(&mut *backend, "a", "1", at(0));
    history.checkpoint(&mut *backend);
    let mut on = history.restored_as(open, &unbounded, &bounded, at(1000)).unwrap();
    assert_eq!(read(&mut *on, "a", at(1009)), all("1", "1", "1"), "it counts as written when it was restored");
    assert_eq!(read(&mut *on, "a", at(1010)), all("", "", ""));

    write(&mut *on, "b", "2", at(1010));
    history.begin_anew();
    history.checkpoint(&mut *on);
    let mut off = history.restored_as(open, &bounded, &unbounded, at(1019)).unwrap();
    assert_eq!(read(&mut *off, "b", at(5000)), all("2", "2", "2"));
    let mut too_late = history.restored_as(open, &bounded, &unbounded, at(1020)).unwrap();
    assert_eq!(read(&mut *too_late, "b", at(5000)), all("", "", ""), "what had expired does not come back");
}

pub(crate) fn merging_drops_what_has_expired_and_lets_nothing_older_rise(open: Open) {
    let clock = ClockKind::ProcessingTime;
    let (bounded, unbounded) = (living(Some(10), clock), living(None, clock));
    let (mut backend, mut history) = (open(&unbounded), History::new());
    write(&mut *backend, "a", "old", at(0));
    history.checkpoint(&mut *backend);
    let mut backend = history.restored_as(open, &unbounded, &bounded, at(0)).unwrap();
    history.begin_anew();
    history.checkpoint(&mut *backend);
    let oldest = history.files.len();
    for round in 1..3 {
        backend.begin(&keyed(&["a"]), at(round));
        backend.put(VALUE, &[0], &texts(&["new"])).unwrap();
        backend.map_put(MAP, &[0], &texts(&["old"]), &texts(&["new"])).unwrap();
        backend.commit().unwrap();
        history.checkpoint(&mut *backend);
    }
    history.merge(oldest..history.files.len(), &bounded, at(12));
    let mut restored = history.restored_as(open, &unbounded, &unbounded, at(12)).unwrap();
    assert_eq!(read(&mut *restored, "a", at(12)), all("", "old", ""), "the deletions hide the oldest file");
}

/// A checkpoint whose event time is behind: what expired since its cut is still alive there.
pub(crate) fn a_frozen_list_keeps_what_expires_after_the_freeze(open: Open) {
    let states = living(Some(10), ClockKind::EventTime);
    let (mut backend, mut history) = (open(&states), History::new());
    for (item, time) in [("x", 100), ("y", 108)] {
        backend.begin(&keyed(&["k"]), at(time));
        backend.list_append(LIST, &[0], &texts(&[item])).unwrap();
        backend.commit().unwrap();
    }
    assert!(backend.freeze(CheckpointId(1)));
    for _ in 0..4 {
        backend.begin(&keyed(&["other"]), at(112));
        backend.commit().unwrap();
    }
    history.store(&mut *drain(&mut *backend, 100));
    let mut restored = history.restored_as(open, &states, &states, at(108)).unwrap();
    assert_eq!(read(&mut *restored, "k", at(108)).1, "xy");
}

/// The times of one clock mean nothing to the other.
pub(crate) fn the_clock_of_a_time_to_live_can_be_switched(open: Open) {
    for (from, to) in [(CLOCKS[0], CLOCKS[1]), (CLOCKS[1], CLOCKS[0])] {
        let (writer, reader) = (living(Some(10), from), living(Some(10), to));
        let (mut backend, mut history) = (open(&writer), History::new());
        let apart = |by_from, by_to| match from {
            ClockKind::EventTime => StateTime { event_ms: by_from, processing_ms: by_to },
            ClockKind::ProcessingTime => StateTime { event_ms: by_to, processing_ms: by_from },
        };
        write(&mut *backend, "old", "1", apart(100, 5000));
        write(&mut *backend, "new", "2", apart(105, 5005));
        history.checkpoint(&mut *backend);
        let mut switched = history.restored_as(open, &writer, &reader, apart(110, 70)).unwrap();
        assert_eq!(read(&mut *switched, "old", apart(110, 70)), all("", "", ""), "it had expired by its own clock");
        assert_eq!(read(&mut *switched, "new", apart(500, 79)), all("2", "2", "2"), "it counts as written now");
        history.begin_anew();
        history.checkpoint(&mut *switched);
        let mut again = history.restored_as(open, &reader, &reader, apart(600, 79)).unwrap();
        for backend in [&mut switched, &mut again] {
            assert_eq!(read(&mut **backend, "old", apart(600, 79)), all("", "", ""));
            assert_eq!(read(&mut **backend, "new", apart(600, 79)), all("2", "2", "2"));
            assert_eq!(read(&mut **backend, "new", apart(600, 80)), all("", "", ""));
        }
    }
}

pub(crate) fn what_is_restored_before_the_first_watermark_lives_on_behind_it(open: Open) {
    let (writer, reader) = (living(None, ClockKind::EventTime), living(Some(10), ClockKind::EventTime));
    let (mut backend, mut history) = (open(&writer), History::new());
    write(&mut *backend, "a", "1", at(0));
    history.checkpoint(&mut *backend);
    let mut backend = history.restored_as(open, &writer, &reader, at(i64::MIN)).unwrap();
    history.begin_anew();
    history.checkpoint(&mut *backend);
    let mut again = history.restored_as(open, &reader, &reader, at(i64::MIN)).unwrap();
    history.merge(0..history.files.len(), &reader, at(1000));
    let mut merged = history.restored_as(open, &reader, &reader, at(1000)).unwrap();
    for backend in [&mut backend, &mut again, &mut merged] {
        assert_eq!(read(&mut **backend, "a", at(1000)), all("1", "1", "1"));
        assert_eq!(read(&mut **backend, "a", at(1009)), all("1", "1", "1"));
        assert_eq!(read(&mut **backend, "a", at(1010)), all("", "", ""));
    }
}

/// However large a map is, a call looks at a part of it; it comes round to all of it.
pub(crate) fn a_large_map_is_swept_slice_by_slice(open: Open) {
    const ENTRIES: usize = 5000;
    let mut backend = open(&living(Some(10), ClockKind::EventTime));
    let names: Vec<String> = (0..ENTRIES).map(|name| format!("{name:05}")).collect();
    let names: Column = names.iter().map(|name| Some(name.as_bytes())).collect();
    backend.begin(&keyed(&["k"]), at(0));
    backend.map_put(MAP, &vec![0; ENTRIES], &names, &names).unwrap();
    backend.commit().unwrap();
    let mut sizes = vec![backend.size().bytes];
    while backend.size().bytes > 0 {
        backend.begin(&keyed(&["k"]), at(10));
        backend.commit().unwrap();
        sizes.push(backend.size().bytes);
        assert!(sizes.len() < ENTRIES, "it comes round: {sizes:?}");
    }
    let most = sizes.windows(2).map(|two| two[0] - two[1]).max();
    assert!(most < Some(sizes[0] / 20), "at most {most:?} of {} bytes at a time", sizes[0]);
}
