//! The thread that takes batches into the database, one after the other, at the lowest priority.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use ::rocksdb::{DB, Error, Options, SstFileWriter, WriteBatch, WriteOptions};
use gristmill_ports::parts::Urgency;
use gristmill_types::StateIndex;

use super::{codec, options};
use crate::changes::Batch;
use crate::file::{Change, Entry};
use crate::gathered::Gathered;
use crate::ordered::{Ordered, WriterStates};
use crate::priority::stand_back;

/// The database's side of a cold store: batches in, their numbers out.
pub(super) struct Intake {
    batches: Option<Sender<Gathered>>,
    done: Receiver<Result<(), String>>,
    handed_over: u32,
    taken_in: u32,
    thread: Option<JoinHandle<()>>,
}

impl Intake {
    /// Starts the thread. Files are written in `folder` before the database gets them.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(
        db: Arc<DB>,
        options: Options,
        folder: PathBuf,
        written: Arc<WriterStates>,
    ) -> std::io::Result<Self> {
        let (batches, incoming) = channel::<Gathered>();
        let (outgoing, done) = channel();
        let worker = Worker { db, options, folder, written };
        let thread = std::thread::Builder::new().name("state-intake".to_owned()).spawn(move || {
            stand_back(Urgency::Whenever);
            for (number, batch) in incoming.into_iter().enumerate() {
                let taken = worker.take_in(number, &batch).map_err(|error| error.to_string());
                if outgoing.send(taken).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { batches: Some(batches), done, handed_over: 0, taken_in: 0, thread: Some(thread) })
    }

    /// Hands a batch over. False if the thread is gone.
    pub(super) fn hand_over(&mut self, batch: Gathered) -> bool {
        self.handed_over += 1;
        self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok())
    }

    /// The newest batch taken in; waits for one, if asked to and one is under way.
    ///
    /// # Errors
    /// If one could not be taken in.
    pub(super) fn taken_in(&mut self, wait: bool) -> Result<Batch, String> {
        const GONE: &str = "its thread has ended";
        loop {
            let under_way = self.taken_in < self.handed_over;
            match self.done.try_recv() {
                Ok(taken) => taken?,
                Err(TryRecvError::Empty) if wait && under_way => {
                    self.done.recv().map_err(|_| GONE.to_owned())??;
                    self.taken_in += 1;
                    return Ok(Batch(self.taken_in));
                }
                Err(TryRecvError::Disconnected) if under_way => return Err(GONE.to_owned()),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(Batch(self.taken_in)),
            }
            self.taken_in += 1;
            if wait {
                return Ok(Batch(self.taken_in));
            }
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was told by `taken_in` before, or nobody asked.
            drop(thread.join());
        }
    }
}

struct Worker {
    db: Arc<DB>,
    options: Options,
    folder: PathBuf,
    written: Arc<WriterStates>,
}

impl Worker {
    /// First the maps that were emptied, then a file with all entries over them.
    fn take_in(&self, number: usize, batch: &Gathered) -> Result<(), Error> {
        let path = self.folder.join(format!("batch-{number}.sst"));
        let mut emptied = WriteBatch::default();
        let mut any_emptied = false;
        let mut out = SstFile::new(&self.options, &path);
        Ordered { gathered: batch, states: &self.written }.each(|entry| {
            if let Change::ClearMap = entry.change {
                let map = codec::map_of(StateIndex(entry.state), entry.group, entry.key);
                emptied.delete_range(map.clone(), codec::end_of_map(map));
                any_emptied = true;
                return Ok(());
            }
            out.push(&entry)
        })?;
        if any_emptied {
            let mut unlogged = WriteOptions::default();
            unlogged.disable_wal(true);
            self.db.write_opt(emptied, &unlogged)?;
        }
        if out.end()? {
            self.db.ingest_external_file_opts(&options::ingestion(), vec![&path])?;
        }
        Ok(())
    }
}

/// A file for the database, begun with its first entry: RocksDB refuses an empty one.
struct SstFile<'o> {
    writer: SstFileWriter<'o>,
    path: &'o Path,
    begun: bool,
}

impl<'o> SstFile<'o> {
    fn new(options: &'o Options, path: &'o Path) -> Self {
        Self { writer: SstFileWriter::create(options), path, begun: false }
    }

    fn push(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        if !self.begun {
            self.writer.open(self.path)?;
            self.begun = true;
        }
        let (state, group, key) = (StateIndex(entry.state), entry.group, entry.key);
        match entry.change {
            Change::PutValue(stored) => self.writer.put(codec::key_of(state, group, key), stored.bytes),
            Change::DeleteValue => self.writer.delete(codec::key_of(state, group, key)),
            Change::PutEntry(name, stored) => self.writer.put(codec::entry_of(state, group, key, name), stored.bytes),
            Change::DeleteEntry(name) => self.writer.delete(codec::entry_of(state, group, key, name)),
            Change::ClearList | Change::Item(..) | Change::ClearMap => {
                unreachable!("lists are handed over as a whole, and emptied maps were sorted out")
            }
        }
    }

    /// Whether there is a file.
    fn end(&mut self) -> Result<bool, Error> {
        if self.begun {
            self.writer.finish()?;
        }
        Ok(self.begun)
    }
}
