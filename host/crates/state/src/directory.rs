//! Which keys there are: key bytes → a dense [`KeyId`], under which the tables keep their entries.
//!
//! The directory is 256 small hash tables instead of a large one: growing then means to rehash some thousand entries
//! at a time, not a million (a stop of 13 ms). A key stays known while something holds it; a key that nothing holds is
//! forgotten when the call ends, and its id used again. So memory follows the state that lives, at its peak.

use gristmill_types::{EventBatch, key_hash};
use hashbrown::HashTable;

use crate::call::{Call, KeyId, Place};
use crate::inline::InlineKey;
use crate::paged::Paged;

const SHARDS: usize = 256;

/// An id that no key has.
const NO_GUESS: KeyId = KeyId(u32::MAX);

/// What a shard holds: enough of the hash to grow by, and to tell nearly all strangers without looking at the key.
#[derive(Debug, Clone, Copy)]
struct Known {
    fingerprint: u32,
    id: KeyId,
}

#[derive(Debug)]
struct Record {
    bytes: InlineKey,
    /// The place that the key had in the last call that had it.
    place: Place,
    /// Entries and frozen copies that refer to the id.
    holds: u32,
    /// Tables in which the key has state that can be read.
    tables: u16,
    known: bool,
    /// Whether a call had it since somebody last looked.
    used: bool,
}

/// What a table has of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// It refers to the key: something is to be read, or stays as a tombstone.
    pub(crate) is_occupied: bool,
    /// Something is to be read.
    pub(crate) is_present: bool,
}

/// Bytes that a known key takes here, its length apart.
pub(crate) const KEY_BYTES: usize = size_of::<Record>() + 2 * size_of::<Known>();

/// The keys of one subtask of one operator.
#[derive(Debug)]
pub(crate) struct Directory {
    shards: Box<[HashTable<Known>]>,
    records: Paged<Record>,
    free: Vec<KeyId>,
    /// Keys that may be held by nothing; looked at when no call is open.
    unheld: Vec<KeyId>,
    live_keys: u64,
    live_bytes: u64,
    /// Of the batch being opened, by row; kept for their memory.
    hashes: Vec<u64>,
    guesses: Vec<KeyId>,
}

/// The half of the hash that the shards do not choose by. Key groups are told by the low bits, so those are the same
/// in many keys of a subtask and would pile them up.
#[inline]
fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[inline]
fn shard(hash: u64) -> usize {
    (hash >> 24) as usize % SHARDS
}

/// The hash as the table wants it: it looks at the lowest and at the highest bits.
#[inline]
fn spread(fingerprint: u32) -> u64 {
    u64::from(fingerprint) << 32 | u64::from(fingerprint)
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            records: Paged::default(),
            free: Vec::new(),
            unheld: Vec::new(),
            live_keys: 0,
            live_bytes: 0,
            hashes: Vec::new(),
            guesses: Vec::new(),
        }
    }

    /// Opens `call` on the keys of a batch. Keys not seen before become known until the call ends.
    ///
    /// Two passes: the first looks only at the shards, the second only at the records. Each is a short loop whose rounds
    /// do not wait for one another, so that the processor has many misses of the cache under way at once; in one pass
    /// a million keys cost twice as much.
    pub(crate) fn open(&mut self, call: &mut Call, events: &EventBatch) {
        call.open(events.len());
        let keys = events.keys();
        self.hash_keys(events);
        self.guess_ids();
        let mut nulls = keys.nulls().iter().copied().peekable();
        for row in 0..events.len() {
            if nulls.next_if_eq(&(row as u32)).is_some() {
                call.push_row_without_key();
                continue;
            }
            let (key, guess) = (keys.bytes_of(row), self.guesses[row]);
            let id = match self.records.get(guess.at()) {
                Some(record) if record.known && record.bytes.as_slice() == key => guess,
                Some(_) | None => self.find_or_add(self.hashes[row], key),
            };
            let record = &mut self.records[id.at()];
            record.used = true;
            call.push_row(id, &mut record.place);
        }
    }

    fn hash_keys(&mut self, events: &EventBatch) {
        self.hashes.clear();
        if events.key_hashes().len() == events.len() {
            self.hashes.extend_from_slice(events.key_hashes());
        } else {
            self.hashes.extend((0..events.len()).map(|row| key_hash(events.keys().bytes_of(row))));
        }
    }

    /// For each hash the first key with its fingerprint: nearly always the right one.
    fn guess_ids(&mut self) {
        let shards = &self.shards;
        self.guesses.clear();
        self.guesses.extend(self.hashes.iter().map(|&hash| {
            let fingerprint = fingerprint(hash);
            let known = shards[shard(hash)].find(spread(fingerprint), |known| known.fingerprint == fingerprint);
            known.map_or(NO_GUESS, |known| known.id)
        }));
    }

    /// The id of a key, which becomes known if it is not; forgotten again if nothing holds it when the next call ends.
    pub(crate) fn id_of(&mut self, key: &[u8]) -> KeyId {
        self.find_or_add(key_hash(key), key)
    }

    /// All ids that keys have, or had, lie below.
    pub(crate) fn end(&self) -> usize {
        self.records.len()
    }

    fn find_or_add(&mut self, hash: u64, key: &[u8]) -> KeyId {
        let (fingerprint, records) = (fingerprint(hash), &self.records);
        let same = |known: &Known| known.fingerprint == fingerprint && records[known.id.at()].bytes.as_slice() == key;
        match self.shards[shard(hash)].find(spread(fingerprint), same) {
            Some(known) => known.id,
            None => self.add(hash, key),
        }
    }

    fn add(&mut self, hash: u64, key: &[u8]) -> KeyId {
        let bytes = InlineKey::from_slice(key);
        let record = Record { bytes, place: Place(0), holds: 0, tables: 0, known: true, used: true };
        let id = match self.free.pop() {
            Some(id) => {
                self.records[id.at()] = record;
                id
            }
            None => {
                self.records.push(record);
                KeyId(u32::try_from(self.records.len() - 1).expect("four thousand million keys do not fit in memory"))
            }
        };
        let known = Known { fingerprint: fingerprint(hash), id };
        self.shards[shard(hash)].insert_unique(spread(known.fingerprint), known, |known| spread(known.fingerprint));
        self.unheld.push(id);
        id
    }

    pub(crate) fn bytes_of(&self, id: KeyId) -> &[u8] {
        &self.records[id.at()].bytes
    }

    /// Something refers to the key from now on.
    pub(crate) fn hold(&mut self, id: KeyId) {
        self.records[id.at()].holds += 1;
    }

    /// The counterpart of [`Self::hold`].
    pub(crate) fn release(&mut self, id: KeyId) {
        let record = &mut self.records[id.at()];
        record.holds -= 1;
        if record.holds == 0 {
            self.unheld.push(id);
        }
    }

    /// The key has state in one more table.
    pub(crate) fn enter_table(&mut self, id: KeyId) {
        let record = &mut self.records[id.at()];
        record.tables += 1;
        if record.tables == 1 {
            self.live_keys += 1;
            self.live_bytes += record.bytes.len() as u64;
        }
    }

    /// The counterpart of [`Self::enter_table`].
    pub(crate) fn leave_table(&mut self, id: KeyId) {
        let record = &mut self.records[id.at()];
        record.tables -= 1;
        if record.tables == 0 {
            // Of a key that was evicted from some tables it is not known whether it has state there: an estimate then.
            self.live_keys = self.live_keys.saturating_sub(1);
            self.live_bytes = self.live_bytes.saturating_sub(record.bytes.len() as u64);
        }
    }

    /// What a table has of the key changed.
    pub(crate) fn account(&mut self, id: KeyId, before: Standing, after: Standing) {
        match (before.is_present, after.is_present) {
            (false, true) => self.enter_table(id),
            (true, false) => self.leave_table(id),
            (true, true) | (false, false) => {}
        }
        match (before.is_occupied, after.is_occupied) {
            (false, true) => self.hold(id),
            (true, false) => self.release(id),
            (true, true) | (false, false) => {}
        }
    }

    /// The key has state in a table that was known to have it, and was evicted.
    pub(crate) fn return_to_table(&mut self, id: KeyId) {
        self.records[id.at()].tables += 1;
    }

    /// The counterpart of [`Self::return_to_table`]: the state lives on in the cold store.
    pub(crate) fn evict_from_table(&mut self, id: KeyId) {
        self.records[id.at()].tables -= 1;
    }

    /// Whether a call had the key since this was last asked. Ids without a key count as used.
    pub(crate) fn was_used(&mut self, id: KeyId) -> bool {
        let record = &mut self.records[id.at()];
        std::mem::take(&mut record.used) || !record.known
    }

    /// Keys that are known.
    pub(crate) fn known_keys(&self) -> usize {
        self.records.len() - self.free.len()
    }

    /// Forgets the keys that nothing holds. Only while no call is open: its rows refer to ids.
    pub(crate) fn forget_unheld(&mut self) {
        while let Some(id) = self.unheld.pop() {
            let record = &mut self.records[id.at()];
            if record.known && record.holds == 0 {
                record.known = false;
                let bytes = std::mem::take(&mut record.bytes);
                let hash = key_hash(&bytes);
                self.shards[shard(hash)]
                    .find_entry(spread(fingerprint(hash)), |known| known.id == id)
                    .expect("a known key stands in the shard of its hash")
                    .remove();
                self.free.push(id);
            }
        }
    }

    /// Keys with state.
    pub(crate) fn live_keys(&self) -> u64 {
        self.live_keys
    }

    /// Bytes of the keys with state.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }
}

#[cfg(test)]
mod tests;
