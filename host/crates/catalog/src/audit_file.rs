//! The audit log: a file of JSON lines, one record each, in the order of their numbers. It only grows.
//!
//! A line counts once it is whole. What a crash or a full disk left of one was never told to anybody, and is cut off.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gristmill_ports::PortError;
use gristmill_ports::audit::{AuditRecord, NumberedRecord};

use crate::trouble::cannot;

const NAME: &str = "audit.log";
/// Records between two places that are known by heart.
const STRIDE: u64 = 256;

/// The file, open.
pub(crate) struct AuditFile {
    path: PathBuf,
    tail: Mutex<Tail>,
}

/// Where the next record goes.
struct Tail {
    file: File,
    /// Bytes of whole lines; what is behind them is the rest of a write that failed.
    len: u64,
    records: u64,
    /// Where the lines begin whose numbers are 1, 1 + `STRIDE`, 1 + 2 · `STRIDE`, …
    places: Vec<u64>,
}

impl AuditFile {
    /// Opens the log of a data directory, making it if there is none.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(crate) fn open(dir: &Path) -> Result<Self, PortError> {
        let path = dir.join(NAME);
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(&path).map_err(cannot("open", &path))?;
        let mut tail = Tail { file, len: 0, records: 0, places: Vec::new() };
        tail.count().and_then(|()| tail.cut()).map_err(cannot("read", &path))?;
        if is_new {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(cannot("make durable", dir))?;
        }
        Ok(Self { path, tail: Mutex::new(tail) })
    }

    pub(crate) fn append(&self, record: &AuditRecord) -> Result<u64, PortError> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.append(record).map_err(cannot("write", &self.path))
    }

    pub(crate) fn page(&self, after: u64, limit: usize) -> Result<Vec<NumberedRecord>, PortError> {
        // Lines that are there stay as they are: the writer need not wait while they are read.
        let (place, number, len) = {
            let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            let stride = (after / STRIDE) as usize;
            let Some(place) = tail.places.get(stride) else { return Ok(Vec::new()) };
            (*place, stride as u64 * STRIDE, tail.len)
        };
        let mut file = File::open(&self.path).map_err(cannot("open", &self.path))?;
        file.seek(SeekFrom::Start(place)).map_err(cannot("read", &self.path))?;
        let skipped = usize::try_from(after - number).expect("less than a stride");
        let lines = BufReader::new(file.take(len - place)).split(b'\n');
        let numbered = (after + 1..).zip(lines.skip(skipped).take(limit));
        numbered.map(|(number, line)| self.record(number, &line.map_err(cannot("read", &self.path))?)).collect()
    }

    fn record(&self, number: u64, line: &[u8]) -> Result<NumberedRecord, PortError> {
        let damaged = |what: String| {
            PortError::fatal(format!("line {number} of the audit log `{}` is damaged: {what}", self.path.display()))
        };
        let found: NumberedRecord = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
        if found.number != number {
            return Err(damaged(format!("it has the number {}", found.number)));
        }
        Ok(found)
    }
}

impl Tail {
    /// Counts whole lines.
    fn count(&mut self) -> std::io::Result<()> {
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(());
            }
            if self.records.is_multiple_of(STRIDE) {
                self.places.push(self.len);
            }
            self.records += 1;
            self.len += read as u64;
        }
    }

    /// Cuts off what is no whole line.
    fn cut(&self) -> std::io::Result<()> {
        if self.file.metadata()?.len() == self.len {
            return Ok(());
        }
        self.file.set_len(self.len)?;
        self.file.sync_all()
    }

    fn append(&mut self, record: &AuditRecord) -> std::io::Result<u64> {
        // Of an earlier record, whose write failed.
        self.cut()?;
        let number = self.records + 1;
        let mut line = serde_json::to_vec(&NumberedRecord { number, record: record.clone() })?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        if self.records.is_multiple_of(STRIDE) {
            self.places.push(self.len);
        }
        self.records = number;
        self.len += line.len() as u64;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(path: &str) -> AuditRecord {
        AuditRecord {
            at_ms: 1,
            who: "alice".to_owned(),
            role: "operator".to_owned(),
            method: "POST".to_owned(),
            path: path.to_owned(),
            key: None,
            body: None,
            outcome: None,
        }
    }

    fn paths(log: &AuditFile, after: u64, limit: usize) -> Vec<(u64, String)> {
        let page = log.page(after, limit).unwrap();
        page.into_iter().map(|line| (line.number, line.record.path)).collect()
    }

    #[test]
    fn records_are_read_back_in_pages_also_by_the_next_host() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditFile::open(dir.path()).unwrap();
        assert_eq!(paths(&log, 0, 10), []);
        for number in 1..=600 {
            assert_eq!(log.append(&record(&format!("/{number}"))).unwrap(), number);
        }
        let expected = |numbers: std::ops::RangeInclusive<u64>| -> Vec<_> {
            numbers.map(|number| (number, format!("/{number}"))).collect()
        };
        let again = AuditFile::open(dir.path()).unwrap();
        for log in [&log, &again] {
            for (after, limit, page) in
                [(0, 2, 1..=2), (255, 2, 256..=257), (256, 1, 257..=257), (511, 3, 512..=514), (598, 9, 599..=600)]
            {
                assert_eq!(paths(log, after, limit), expected(page));
            }
            assert_eq!(paths(log, 600, 9), []);
            assert_eq!(paths(log, u64::MAX, 9), []);
        }
        assert_eq!(again.append(&record("/601")).unwrap(), 601);
    }

    #[test]
    fn half_a_line_is_cut_off_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditFile::open(dir.path()).unwrap();
        log.append(&record("/1")).unwrap();
        let whole = fs::read(dir.path().join(NAME)).unwrap();
        fs::write(dir.path().join(NAME), [&whole[..], b"{\"number\":2,\"at"].concat()).unwrap();
        // A write that failed.
        assert_eq!(log.append(&record("/2")).unwrap(), 2);
        let whole = fs::read(dir.path().join(NAME)).unwrap();
        fs::write(dir.path().join(NAME), [&whole[..], b"{"].concat()).unwrap();
        // A host that went down.
        let log = AuditFile::open(dir.path()).unwrap();
        assert_eq!(log.append(&record("/3")).unwrap(), 3);
        assert_eq!(paths(&log, 0, 9), [(1, "/1".to_owned()), (2, "/2".to_owned()), (3, "/3".to_owned())]);
    }

    #[test]
    fn a_line_that_was_changed_by_hand_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditFile::open(dir.path()).unwrap();
        for number in 1..=3 {
            log.append(&record(&format!("/{number}"))).unwrap();
        }
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        let without_the_second: String =
            text.lines().enumerate().filter(|(index, _)| *index != 1).map(|(_, line)| format!("{line}\n")).collect();
        fs::write(dir.path().join(NAME), without_the_second).unwrap();
        let told = AuditFile::open(dir.path()).unwrap().page(0, 9).unwrap_err().to_string();
        assert!(told.contains("line 2 of the audit log") && told.contains("it has the number 3"), "{told}");
    }
}
