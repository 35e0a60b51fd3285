//! What every store promises. Each promise is asked of a fresh store.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Barrier;
use std::thread;

use gristmill_ports::CheckpointStore;
use gristmill_ports::checkpoint_store::{Content, PutNew, StoredFile};

/// Makes a test of each promise for the store that a function opens. It gives back what must outlive the store.
macro_rules! keeps_its_promises {
    ($open:path: $($promise:ident)*) => {$(
        #[test]
        fn $promise() {
            let (_alive, store) = $open();
            crate::promises::$promise(&*store);
        }
    )*};
}
pub(crate) use keeps_its_promises;

fn paths(listed: &[StoredFile]) -> Vec<&str> {
    listed.iter().map(|file| &*file.path).collect()
}

pub(crate) fn put_new_never_replaces(store: &dyn CheckpointStore) {
    assert_eq!(store.put_new("run/chain/0", b"first").unwrap(), PutNew::Created);
    assert_eq!(store.put_new("run/chain/0", b"second").unwrap(), PutNew::Exists);
    assert_eq!(store.put_new("run/chain/0", b"first").unwrap(), PutNew::Exists);
    assert_eq!(store.get("run/chain/0").unwrap().as_deref(), Some(&b"first"[..]));
    store.delete("run/chain/0").unwrap();
    assert_eq!(store.put_new("run/chain/0", b"third").unwrap(), PutNew::Created);
}

pub(crate) fn of_many_at_once_one_is_created(store: &dyn CheckpointStore) {
    const THREADS: usize = 8;
    for slot in 0..25 {
        let path = format!("run/chain/{slot}");
        let start = Barrier::new(THREADS);
        let put = |who: usize| {
            start.wait();
            (who, store.put_new(&path, format!("claim of {who}").as_bytes()).unwrap())
        };
        let created: Vec<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|who| scope.spawn(move || put(who))).collect();
            let done = threads.into_iter().map(|thread| thread.join().unwrap());
            done.filter(|(_, put)| *put == PutNew::Created).map(|(who, _)| who).collect()
        });
        assert_eq!(created.len(), 1, "slot {slot} was given to {created:?}");
        let found = store.get(&path).unwrap().unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), format!("claim of {}", created[0]));
    }
}

pub(crate) fn a_put_replaces_and_is_never_seen_by_halves(store: &dyn CheckpointStore) {
    const BYTES: usize = 300_000;
    let done = std::sync::atomic::AtomicBool::new(false);
    store.put("run/files/x", Content::Bytes(&[0; BYTES])).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for fill in 1..=40 {
                store.put("run/files/x", Content::Bytes(&vec![fill; BYTES])).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let found = store.get("run/files/x").unwrap().unwrap();
            assert_eq!(found.len(), BYTES);
            assert!(found.iter().all(|byte| *byte == found[0]), "two puts were mixed");
        }
    });
    assert_eq!(store.get("run/files/x").unwrap().unwrap(), vec![40; BYTES]);
}

pub(crate) fn a_list_has_what_was_just_put_and_nothing_else(store: &dyn CheckpointStore) {
    assert_eq!(store.list("jobs/a").unwrap(), []);
    for path in ["jobs/a/2/chain/1", "jobs/a/1/chain/0", "jobs/ab/1/chain/0", "jobs/a/1/files/7/x"] {
        store.put(path, Content::Bytes(path.as_bytes())).unwrap();
        assert!(paths(&store.list("jobs").unwrap()).contains(&path));
    }
    assert_eq!(store.put_new("jobs/a/1/chain/1", b"").unwrap(), PutNew::Created);
    let listed = store.list("jobs/a").unwrap();
    assert_eq!(
        paths(&listed),
        ["jobs/a/1/chain/0", "jobs/a/1/chain/1", "jobs/a/1/files/7/x", "jobs/a/2/chain/1"],
        "in order, and not those of `jobs/ab`"
    );
    let lengths: Vec<_> = listed.iter().map(|file| file.bytes).collect();
    assert_eq!(lengths, [16, 0, 18, 16]);
    assert_eq!(store.list("").unwrap().len(), 5, "the store's own files are not listed");
    store.delete("jobs/a/1/chain/0").unwrap();
    assert!(!paths(&store.list("jobs/a").unwrap()).contains(&"jobs/a/1/chain/0"));
}

pub(crate) fn a_long_list_is_whole(store: &dyn CheckpointStore) {
    const FILES: usize = 1100; // more than a page of S3
    thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for number in (0..FILES).filter(|number| number % 4 == part) {
                    store.put(&format!("many/{number:04}"), Content::Bytes(b"")).unwrap();
                }
            });
        }
    });
    let listed: BTreeSet<_> = store.list("many").unwrap().into_iter().map(|file| file.path).collect();
    assert!(listed.into_iter().eq((0..FILES).map(|number| format!("many/{number:04}"))));
}

pub(crate) fn what_is_not_there_is_no_error(store: &dyn CheckpointStore) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    assert_eq!(store.get("run/chain/9").unwrap(), None);
    assert!(!store.fetch("run/chain/9", &to).unwrap());
    assert!(!to.exists());
    store.delete("run/chain/9").unwrap();
    store.put("run/chain/9", Content::Bytes(b"x")).unwrap();
    store.delete("run/chain/9").unwrap();
    store.delete("run/chain/9").unwrap();
    assert_eq!(store.get("run/chain/9").unwrap(), None);
}

pub(crate) fn a_large_file_goes_through(store: &dyn CheckpointStore) {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let mut chance = fastrand::Rng::with_seed(50);
    let content: Vec<u8> = (0..50 << 17).flat_map(|_| chance.u64(..).to_le_bytes()).collect();
    fs::write(&from, &content).unwrap();
    store.put("run/files/1/large", Content::File(&from)).unwrap();
    assert!(!from.exists(), "it is the store's from then on");
    assert_eq!(store.list("run/files").unwrap()[0].bytes, content.len() as u64);
    assert!(store.fetch("run/files/1/large", &to).unwrap());
    assert!(fs::read(&to).unwrap() == content, "other bytes came back");
}

pub(crate) fn a_file_that_is_in_the_way_of_a_fetch_stays(store: &dyn CheckpointStore) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    fs::write(&to, "mine").unwrap();
    store.put("run/x", Content::Bytes(b"stored")).unwrap();
    store.fetch("run/x", &to).unwrap_err();
    assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
}

pub(crate) fn a_path_that_leads_out_of_the_store_is_refused(store: &dyn CheckpointStore) {
    for bad in ["../x", "/x", "a/../../x", "a//b", ""] {
        store.put(bad, Content::Bytes(b"x")).unwrap_err();
        store.put_new(bad, b"x").unwrap_err();
        store.get(bad).unwrap_err();
        store.delete(bad).unwrap_err();
    }
}
