use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{DatabaseError, ReadableTable, StorageBackend};

use super::*;

/// Whether the disk of [`FullDisk`] is full: of one test alone.
static FULL: AtomicBool = AtomicBool::new(false);

/// A file on a disk that is full at times.
#[derive(Debug)]
struct FullDisk(FileBackend);

impl FullDisk {
    fn open(path: &Path) -> Result<Database, DatabaseError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        Database::builder().create_with_backend(Self(FileBackend::new(file)?))
    }

    fn room() -> io::Result<()> {
        if FULL.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::room().and_then(|()| self.0.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Self::room().and_then(|()| self.0.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

#[test]
fn a_disk_that_was_full_costs_what_was_written_then_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), FullDisk::open).unwrap();
    let put = |name: &str| {
        store.write(|transaction| {
            transaction.open_table(JOBS)?.insert(name, &b"x"[..])?;
            Ok(())
        })
    };
    let names = || {
        store.read(|transaction| {
            let jobs = transaction.open_table(JOBS)?;
            jobs.iter()?.map(|row| Ok(row?.0.value().to_owned())).collect::<Result<Vec<_>, _>>()
        })
    };
    put("before").unwrap();
    FULL.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(put("meanwhile").is_err());
        assert!(store.heal().is_err());
    }
    FULL.store(false, Ordering::SeqCst);
    store.heal().unwrap();
    put("after").unwrap();
    assert_eq!(names().unwrap(), ["after", "before"]);
}
