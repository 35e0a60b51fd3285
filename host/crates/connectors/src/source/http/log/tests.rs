use std::fs::OpenOptions;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::source::http::keys::KeyHash;

const SMALL: u64 = 4 * 300;

fn open(folder: &Path, most_bytes: u64) -> (Log, Keys) {
    Log::open(folder, folder, most_bytes).expect("it opens")
}

fn damage_of(folder: &Path) -> String {
    let error = Log::open(folder, folder, SMALL).err().expect("damaged");
    assert_eq!(error.kind, gristmill_ports::ErrorKind::Fatal);
    error.message
}

fn offer(key: Option<u128>, events: &[&str]) -> LoggedOffer {
    let events = events.iter().map(|event| event.as_bytes().to_vec()).collect();
    LoggedOffer { key: key.map(KeyHash), events }
}

/// Appends one offer of one event.
fn append(log: &mut Log, event: &str) -> io::Result<Group> {
    log.append(vec![offer(None, &[event])], 0, Vec::new)
}

/// The events of a log from a number on, each with its own.
fn events(log: &Log, from: u64) -> Vec<(u64, String)> {
    let mut events = Vec::new();
    let Some(mut reader) = log.read_from(from) else { return events };
    while let Some(group) = reader.next_group().expect("whole") {
        let all = group.offers.into_iter().flat_map(|offer| offer.events);
        events.extend((group.first..).zip(all.map(|event| String::from_utf8(event).expect("text"))));
    }
    events
}

/// The last segment, and its bytes.
fn last_segment(folder: &Path) -> (PathBuf, Vec<u8>) {
    let path = path_of(folder, list(folder).expect("a folder").last().expect("a segment").first);
    (path.clone(), std::fs::read(path).expect("there"))
}

#[test]
fn a_torn_tail_is_cut_off_and_the_log_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = open(folder.path(), 1 << 30);
    for event in ["a", "b", "c"] {
        append(&mut log, event).expect("room");
    }
    drop(log);
    let (path, whole) = last_segment(folder.path());
    let frame = b"GMFR".len() + 8 + 21 + 1 + 4 + 4 + 1;
    for torn in 1..frame {
        std::fs::write(&path, &whole[..whole.len() - torn]).expect("written");
        let (mut log, _) = open(folder.path(), 1 << 30);
        assert_eq!((log.first(), log.next()), (0, 2), "{torn} bytes are missing");
        append(&mut log, "d").expect("room");
        let wanted = [(1, "b".to_owned()), (2, "d".to_owned())];
        assert_eq!(events(&log, 1), wanted);
        assert_eq!(events(&open(folder.path(), 1 << 30).0, 1), wanted);
    }
}

#[test]
fn a_damaged_record_in_the_middle_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = open(folder.path(), 1 << 30);
    // An event that looks like a frame is none: nobody outside knows the salt.
    let mut disguised = Vec::new();
    write_group(0, &Group { first: 9, arrived_ms: 0, offers: Vec::new() }, &mut disguised);
    let before = log.append(vec![offer(None, &["a"])], 0, Vec::new).expect("room");
    let place = log.open.as_ref().expect("open").bytes;
    for event in [b"b".to_vec(), disguised] {
        log.append(vec![LoggedOffer { key: None, events: vec![event] }], 0, Vec::new).expect("room");
    }
    drop(log);
    assert_eq!(before.first, 0);
    let (path, whole) = last_segment(folder.path());
    for at in [place, place + 5, place + 9, place + 30] {
        let mut flipped = whole.clone();
        flipped[at as usize] ^= 16;
        std::fs::write(&path, flipped).expect("written");
        let damage = damage_of(folder.path());
        assert!(damage.contains(&format!("`{}` is damaged at byte {place}", path.display())), "{damage}");
    }
    // The last group is torn, though an event of it looks whole.
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("written");
    assert_eq!(open(folder.path(), 1 << 30).0.next(), 2);
    std::fs::write(&path, [b"X", &whole[1..]].concat()).expect("written");
    assert!(damage_of(folder.path()).contains("its beginning is damaged"));
}

#[test]
fn damage_in_an_earlier_segment_is_told_when_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = open(folder.path(), SMALL);
    (0..30).for_each(|_| drop(append(&mut log, &"x".repeat(50)).expect("room")));
    assert!(log.segments.len() > 3);
    let path = path_of(folder.path(), log.segments[1].first);
    let mut bytes = std::fs::read(&path).expect("there");
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let mut reader = log.read_from(0).expect("events");
    let told = std::iter::repeat_with(|| reader.next_group()).find_map(Result::err).expect("damaged").message;
    assert!(told.contains(&format!("`{}` is damaged", path.display())) && told.contains("were acknowledged"), "{told}");
    assert_eq!(events(&log, log.segments[2].first).len() as u64, 30 - log.segments[2].first);
}

#[test]
fn whole_segments_are_removed_and_the_keys_in_them_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, mut keys) = open(folder.path(), SMALL);
    for number in 0..30 {
        let all = keys.iter().copied().collect::<Vec<_>>();
        let group = log.append(vec![offer(Some(number), &["event"])], 7, || all).expect("room");
        group.remembered().for_each(|key| keys.remember(key));
    }
    let all: Vec<Remembered> = keys.iter().copied().collect();
    assert_eq!(all.len(), 30);
    log.forget_before(17, Vec::new).expect("removed");
    assert!(log.first() > 0 && log.first() <= 17);
    assert_eq!(events(&log, 17).len(), 13);
    log.forget_before(30, || all.clone()).expect("removed");
    drop(log);
    let (log, keys) = open(folder.path(), SMALL);
    assert_eq!(log.next(), 30);
    assert_eq!(keys.iter().copied().collect::<Vec<_>>(), all);
    // The last segment has nothing that anybody needs, and is small.
    assert!(log.segments.len() == 1);
}

#[test]
fn a_log_that_nobody_needs_shrinks_though_it_has_one_segment() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = open(folder.path(), SMALL);
    append(&mut log, &"x".repeat(5000)).expect("room");
    log.forget_before(1, Vec::new).expect("removed");
    assert!(log.bytes() < 100 && log.first() == 1);
    append(&mut log, "y").expect("room");
    assert_eq!(events(&open(folder.path(), SMALL).0, 1), [(1, "y".to_owned())]);
}

#[test]
fn keys_take_no_room_from_events_and_are_no_more_than_a_small_log_bears() {
    const LOG: u64 = 256 << 10;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, mut keys) = open(folder.path(), LOG);
    for number in 0..1000 {
        let all = keys.iter().copied().collect::<Vec<_>>();
        let group = log.append(vec![offer(Some(number), &["x"])], 7, || all).expect("room");
        group.remembered().for_each(|key| keys.remember(key));
        if number % 100 == 99 {
            let all = keys.iter().copied().collect::<Vec<_>>();
            log.forget_before(log.next(), || all).expect("removed");
        }
    }
    assert!(log.bytes() < LOG / 8, "{} bytes are taken though nothing is needed", log.bytes());
    assert_eq!(keys.iter().len() as u64, LOG / 16 / 40);
    let kept: Vec<Remembered> = keys.iter().copied().collect();
    log.append(vec![offer(None, &[&"x".repeat(LOG as usize / 4)])], 7, Vec::new).expect("room");
    log.append(vec![offer(None, &["y"])], 7, || kept.clone()).expect("room");
    let bytes = log.bytes();
    drop(log);
    let (log, keys) = open(folder.path(), LOG);
    assert_eq!((log.bytes(), keys.iter().copied().collect::<Vec<_>>()), (bytes, kept));
}

#[test]
fn a_full_disk_refuses_and_the_log_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = open(folder.path(), SMALL);
    append(&mut log, &"x".repeat(500)).expect("room");
    // The next segment is written to a disk that is full.
    symlink("/dev/full", folder.path().join("segment.tmp")).expect("linked");
    let error = append(&mut log, "refused").expect_err("no room");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    append(&mut log, "y").expect("room again");
    assert_eq!(events(&open(folder.path(), SMALL).0, 1), [(1, "y".to_owned())]);
}

#[test]
fn what_a_failed_append_left_behind_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = open(folder.path(), 1 << 30);
    append(&mut log, "a").expect("room");
    // As if the sync had failed, and the room could not be given back.
    let open_segment = log.open.take().expect("open");
    let mut left = Vec::new();
    let group = Group { first: 1, arrived_ms: 0, offers: vec![offer(None, &["refused"])] };
    write_group(open_segment.salt, &group, &mut left);
    left.extend_from_slice(b"and half a frame");
    let mut file = OpenOptions::new().append(true).open(path_of(folder.path(), 0)).expect("there");
    io::Write::write_all(&mut file, &left).expect("written");
    append(&mut log, "b").expect("room");
    let wanted = [(0, "a".to_owned()), (1, "b".to_owned())];
    assert_eq!(events(&log, 0), wanted);
    assert_eq!(events(&open(folder.path(), 1 << 30).0, 0), wanted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_log_holds_what_was_appended_however_often_it_is_opened_and_trimmed(
        steps in prop::collection::vec(
            prop_oneof![
                6 => prop::collection::vec(prop::collection::vec("[a-z]{0,40}", 0..4), 1..4).prop_map(Some),
                1 => Just(None),
            ],
            0..25,
        ),
        trims in prop::collection::vec(any::<prop::sample::Index>(), 25),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut log, _) = open(folder.path(), SMALL);
        let (mut model, mut oldest) = (Vec::new(), 0);
        for (step, trim) in steps.into_iter().zip(trims) {
            let Some(offers) = step else {
                drop(log);
                log = open(folder.path(), SMALL).0;
                oldest = oldest.max(trim.index(model.len() + 1) as u64);
                log.forget_before(oldest, Vec::new).expect("removed");
                continue;
            };
            let offers: Vec<LoggedOffer> = offers.into_iter().map(|events: Vec<String>| {
                model.extend(events.iter().cloned());
                LoggedOffer { key: None, events: events.into_iter().map(String::into_bytes).collect() }
            }).collect();
            log.append(offers, 0, Vec::new).expect("room");
        }
        prop_assert!(log.first() <= oldest);
        prop_assert_eq!(log.next(), model.len() as u64);
        for from in [oldest, log.first(), log.next()] {
            let wanted: Vec<(u64, String)> = (0..).zip(model.iter().cloned()).skip(from as usize).collect();
            prop_assert_eq!(events(&log, from), wanted);
        }
    }
}
