//! The store that fails on purpose fails as it says.

use std::sync::Arc;

use gristmill_checkpoint_store::LocalDir;
use gristmill_checkpoint_store::faulty::{Faulty, Odds};
use gristmill_ports::CheckpointStore;
use gristmill_ports::checkpoint_store::{Content, PutNew};

fn local() -> (tempfile::TempDir, Arc<dyn CheckpointStore>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalDir::open(dir.path()).unwrap());
    (dir, store)
}

#[test]
fn an_error_comes_before_the_effect_or_after_it() {
    let (_dir, store) = local();
    let before = Faulty::new(Arc::clone(&store), 1, Odds { before: 1.0, ..Odds::default() });
    let after = Faulty::new(Arc::clone(&store), 1, Odds { after: 1.0, ..Odds::default() });
    before.put_new("a", b"1").unwrap_err();
    assert_eq!(store.get("a").unwrap(), None);
    after.put_new("a", b"1").unwrap_err();
    assert_eq!(store.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    after.delete("a").unwrap_err();
    assert_eq!(store.get("a").unwrap(), None);
    assert_eq!((before.faults(), after.faults()), (1, 2));
}

#[test]
fn an_outage_lasts_until_it_is_ended() {
    let (_dir, store) = local();
    let faulty = Faulty::new(store, 1, Odds::default());
    faulty.set_outage(true);
    assert!(faulty.list("").unwrap_err().message.contains("in an outage"));
    faulty.put("a", Content::Bytes(b"1")).unwrap_err();
    faulty.set_outage(false);
    assert_eq!(faulty.put_new("a", b"2").unwrap(), PutNew::Created);
}

#[test]
fn what_is_read_is_harmed_and_what_is_stored_is_not() {
    let (dir, store) = local();
    store.put("a", Content::Bytes(&[7; 100])).unwrap();
    let torn = Faulty::new(Arc::clone(&store), 1, Odds { torn: 1.0, ..Odds::default() });
    assert!(torn.get("a").unwrap().unwrap().len() < 100);
    let flipped = Faulty::new(Arc::clone(&store), 1, Odds { flipped: 1.0, ..Odds::default() });
    let to = dir.path().join("to");
    flipped.fetch("a", &to).unwrap();
    let bits: u32 = std::fs::read(&to).unwrap().iter().map(|byte| (byte ^ 7).count_ones()).sum();
    assert_eq!(bits, 1);
    assert_eq!(store.get("a").unwrap().unwrap(), [7; 100]);
}

#[test]
fn one_seed_is_one_run() {
    let faults = |seed| {
        let (_dir, store) = local();
        let faulty = Faulty::new(store, seed, Odds { before: 0.3, after: 0.3, ..Odds::default() });
        (0..200).map(|at| faulty.put(&format!("f{at}"), Content::Bytes(b"")).is_err()).collect::<Vec<_>>()
    };
    assert_eq!(faults(1), faults(1));
    assert_ne!(faults(1), faults(2));
}
