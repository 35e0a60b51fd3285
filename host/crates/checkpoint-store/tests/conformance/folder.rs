//! A folder keeps the promises, also between processes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use gristmill_checkpoint_store::{LocalDir, open};
use gristmill_ports::CheckpointStore;
use gristmill_ports::checkpoint_store::PutNew;
use tempfile::TempDir;

use crate::promises::keeps_its_promises;

fn fresh() -> (TempDir, Box<dyn CheckpointStore>) {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalDir::open(&dir.path().join("a/new/folder")).unwrap();
    (dir, Box::new(store))
}

keeps_its_promises! { fresh:
    put_new_never_replaces
    of_many_at_once_one_is_created
    a_put_replaces_and_is_never_seen_by_halves
    a_list_has_what_was_just_put_and_nothing_else
    a_long_list_is_whole
    what_is_not_there_is_no_error
    a_large_file_goes_through
    a_file_that_is_in_the_way_of_a_fetch_stays
    a_path_that_leads_out_of_the_store_is_refused
}

/// Tells a process of the test below which folder it shares.
const SHARED: &str = "GRISTMILL_TEST_SHARED_FOLDER";
const SLOTS: usize = 200;

/// What each process does: opens the folder, puts into every slot, and writes down which it got.
#[test]
#[ignore = "a part of `of_two_processes_one_gets_each_slot`, which starts it"]
fn a_process_that_puts_into_every_slot() {
    let shared = PathBuf::from(std::env::var_os(SHARED).expect("the folder"));
    let store = LocalDir::open(&shared.join("store")).unwrap();
    let claim = std::process::id().to_string();
    let is_ours = |slot: &usize| store.put_new(&format!("chain/{slot}"), claim.as_bytes()).unwrap() == PutNew::Created;
    let got: Vec<_> = (0..SLOTS).filter(is_ours).map(|slot| slot.to_string()).collect();
    fs::write(shared.join(claim), got.join(" ")).unwrap();
}

#[test]
fn of_two_processes_one_gets_each_slot() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "folder::a_process_that_puts_into_every_slot"])
            .env(SHARED, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut got = Vec::new();
    for mut process in [start(), start()] {
        assert!(process.wait().unwrap().success());
        let text = fs::read_to_string(dir.path().join(process.id().to_string())).unwrap();
        got.extend(text.split_whitespace().map(|slot| slot.parse::<usize>().unwrap()));
    }
    got.sort_unstable();
    assert!(got.into_iter().eq(0..SLOTS), "a slot was given to both or to none");
}

#[test]
fn a_folder_is_opened_by_its_path_or_its_url() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let path = dir.path().display().to_string();
    let by_path = open(&path, runtime.handle()).unwrap();
    let by_url = open(&format!("file://{path}"), runtime.handle()).unwrap();
    by_path.put_new("a", b"1").unwrap();
    assert_eq!(by_url.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(by_url.describe(), path);
}
