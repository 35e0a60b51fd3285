use std::fs::{self, File};
use std::path::Path;

use gristmill_ports::ErrorKind;
use gristmill_ports::checkpoint_store::{Content, PutNew};

use super::*;

fn incoming(root: &Path) -> Vec<PathBuf> {
    fs::read_dir(root.join(".incoming")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_a_crash_left_half_written_is_not_listed_and_goes_when_the_folder_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalDir::open(dir.path()).unwrap();
    store.put("jobs/a/1", Content::Bytes(b"whole")).unwrap();
    fs::write(dir.path().join(".incoming/half"), "wh").unwrap();
    let listed: Vec<_> = store.list("").unwrap().into_iter().map(|file| file.path).collect();
    assert_eq!(listed, ["jobs/a/1"]);
    LocalDir::open(dir.path()).unwrap();
    assert!(incoming(dir.path()).is_empty());
    assert_eq!(store.get("jobs/a/1").unwrap().as_deref(), Some(&b"whole"[..]));
}

#[test]
fn what_another_host_is_writing_stays_when_the_folder_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    LocalDir::open(dir.path()).unwrap();
    let under_way = dir.path().join(".incoming/under-way");
    let writer = File::create(&under_way).unwrap();
    writer.lock().unwrap();
    LocalDir::open(dir.path()).unwrap();
    assert_eq!(incoming(dir.path()), [under_way]);
}

#[test]
fn nothing_is_left_aside_whatever_became_of_a_put() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalDir::open(dir.path()).unwrap();
    assert_eq!(store.put_new("a/b", b"1").unwrap(), PutNew::Created);
    assert_eq!(store.put_new("a/b", b"2").unwrap(), PutNew::Exists);
    store.put("a/b/c", Content::Bytes(b"3")).unwrap_err();
    assert!(incoming(dir.path()).is_empty());
}

#[test]
fn folders_go_with_the_last_file_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalDir::open(dir.path()).unwrap();
    store.put("jobs/a/files/1/x", Content::Bytes(b"x")).unwrap();
    store.put("jobs/a/chain/0", Content::Bytes(b"y")).unwrap();
    store.delete("jobs/a/files/1/x").unwrap();
    assert!(!dir.path().join("jobs/a/files").exists());
    assert!(dir.path().join("jobs/a/chain/0").exists());
    store.put("jobs/a/files/1/x", Content::Bytes(b"x")).unwrap();
}

#[test]
fn a_folder_that_another_host_removed_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (LocalDir::open(dir.path()).unwrap(), LocalDir::open(dir.path()).unwrap());
    store.put("a/b/1", Content::Bytes(b"1")).unwrap();
    other.delete("a/b/1").unwrap();
    assert!(!dir.path().join("a").exists());
    assert_eq!(store.put_new("a/b/2", b"2").unwrap(), PutNew::Created);
}

#[test]
fn a_file_is_moved_into_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalDir::open(&dir.path().join("store")).unwrap();
    let from = dir.path().join("from");
    fs::write(&from, "content").unwrap();
    store.put("a", Content::File(&from)).unwrap();
    assert!(!from.exists());
    assert_eq!(fs::read_to_string(store.local_path("a").unwrap()).unwrap(), "content");
}

#[test]
fn what_is_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for root in [file.clone(), file.join("below")] {
        let error = LocalDir::open(&root).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Retry);
        assert!(error.message.starts_with(&format!("cannot make the folder `{}`: ", root.display())), "{error}");
        assert!(error.message.contains("move the file that is in the way"), "{error}");
    }
    let store = LocalDir::open(&dir.path().join("store")).unwrap();
    store.put("a", Content::Bytes(b"1")).unwrap();
    let error = store.put("a/b", Content::Bytes(b"2")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("move the file that is in the way"), "{error}");
}

#[test]
fn a_source_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalDir::open(dir.path()).unwrap();
    let error = store.put("a", Content::File(&dir.path().join("gone"))).unwrap_err();
    assert!(error.message.contains("cannot read") && error.message.contains("gone"), "{error}");
}
