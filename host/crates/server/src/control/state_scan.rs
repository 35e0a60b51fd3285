//! All of a state, as a checkpoint has it: read page by page, and counted. The stream knows nothing of it.

use std::sync::Arc;
use std::time::Duration;

use gristmill_checkpoint::{Manifest, NodeSnapshot, RunFolder, StateFile};
use gristmill_ports::state::{EntryPlace, StateEntries, StateEntry};
use gristmill_ports::{FileStore, PortError};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CheckpointId, JobId, KeyGroup, KeyGroupRange, RunId};
use serde_json::Value;

use super::checkpoints::ask_for_checkpoint;
use super::jobs::JobView;
use super::state_codec::Codec;
use super::state_query::{PAGE, StateOf};
use super::storage::newest;
use super::{Control, ControlError, ShownStateEntry, Thing, blocking};

/// Bytes of entries that a page holds at most, but for its last entry.
const MOST_BYTES: usize = 4 << 20;
/// How long a checkpoint that is asked for may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the newest checkpoint is looked for anew if it has been retired while it was opened.
const TRIES: usize = 5;

/// Which checkpoint is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// The newest that is decided.
    Newest,
    /// One that is made for it.
    Fresh,
    /// This one, if it is kept still.
    Checkpoint(CheckpointId),
}

/// A page of a state.
#[derive(Debug, Clone, PartialEq)]
pub struct ScannedPage {
    /// The checkpoint that was read.
    pub checkpoint: CheckpointId,
    /// When its barrier was sent, in milliseconds since the epoch.
    pub taken_ms: i64,
    /// The state, as it stands there.
    pub spec: StateSpec,
    /// Its entries, by key group, key and place.
    pub entries: Vec<ScannedEntry>,
    /// Where the next page begins, if there is one.
    pub next: Option<Vec<u8>>,
}

/// An entry of a state in a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ScannedEntry {
    /// Whose it is.
    pub key: Vec<u8>,
    /// Of a list: which item, counted since its last clear.
    pub item: Option<u64>,
    /// Its name and value.
    pub entry: ShownStateEntry,
}

/// How much there is of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateCount {
    /// The checkpoint that was read.
    pub checkpoint: CheckpointId,
    /// When its barrier was sent, in milliseconds since the epoch.
    pub taken_ms: i64,
    /// Keys that have something in it.
    pub keys: u64,
    /// Values, items and entries of maps.
    pub entries: u64,
    /// Bytes of them, keys and names included.
    pub bytes: u64,
}

/// One state of one checkpoint, opened: its files stay readable whatever becomes of their names.
struct Opened {
    manifest: Manifest,
    spec: StateSpec,
    place: usize,
    entries: StateEntries,
}

impl Control {
    /// Entries of a state, in the order in which a checkpoint has them, behind the place where the page before ended.
    ///
    /// # Errors
    /// If there is no such job, operator, state or checkpoint, or storage cannot be read.
    pub async fn scan_state(
        self: &Arc<Self>,
        of: StateOf,
        from: ReadFrom,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<ScannedPage, ControlError> {
        let after = after.map(Place::read).transpose()?;
        let (job, checkpoint) = self.readable(&of.job, from).await?;
        let control = Arc::clone(self);
        blocking(move || {
            let first = after.as_ref().map_or(0, |place| place.group.0);
            let opened = control.open_state(&job, &of, checkpoint, first)?;
            let secrets = job.live.as_ref().map(|live| live.secrets()).unwrap_or_default();
            let codec = Codec::new(inspector_of(&job, &of, &opened.spec), opened.spec.clone(), secrets);
            Ok(opened.page(after.as_ref(), limit.clamp(1, PAGE), codec)?)
        })
        .await?
    }

    /// How much there is of a state.
    ///
    /// # Errors
    /// As for [`Self::scan_state`].
    pub async fn count_state(self: &Arc<Self>, of: StateOf, from: ReadFrom) -> Result<StateCount, ControlError> {
        let (job, checkpoint) = self.readable(&of.job, from).await?;
        let control = Arc::clone(self);
        blocking(move || Ok(control.open_state(&job, &of, checkpoint, 0)?.count()?)).await?
    }

    /// The job, and the checkpoint of it that is meant; `None` for the newest.
    async fn readable(&self, id: &JobId, from: ReadFrom) -> Result<(JobView, Option<CheckpointId>), ControlError> {
        let job = self.job(id).await?;
        let checkpoint = match from {
            ReadFrom::Newest => None,
            ReadFrom::Checkpoint(checkpoint) => Some(checkpoint),
            ReadFrom::Fresh => {
                let live = job.running("checkpointed")?;
                let made = tokio::time::timeout(PATIENCE, ask_for_checkpoint(live)).await.map_err(|_| {
                    ControlError::NoAnswer(format!("no checkpoint was decided in {} s", PATIENCE.as_secs()))
                })?;
                let refused = |why: Value| ControlError::NoAnswer(format!("no checkpoint could be made: {why}"));
                // A newer one has all that this one has.
                made.map_err(refused).map(|_| None)?
            }
        };
        Ok((job, checkpoint))
    }

    /// Blocks. A checkpoint may be retired while it is opened: then there is a newer one.
    fn open_state(
        &self,
        job: &JobView,
        of: &StateOf,
        checkpoint: Option<CheckpointId>,
        first: u16,
    ) -> Result<Opened, ControlError> {
        let none = || match checkpoint {
            Some(checkpoint) => ControlError::missing_in(&of.job, Thing::Checkpoint, &checkpoint.to_string(), []),
            None => ControlError::StateRefused(format!("job `{}` has no checkpoint yet; `fresh` has one made", of.job)),
        };
        let run = job.record.run.ok_or_else(none)?;
        let mut tried: Option<(CheckpointId, PortError)> = None;
        for _ in 0..TRIES {
            let manifest = newest(&*self.parts.checkpoints, &of.job, run, checkpoint)?.ok_or_else(none)?;
            if let Some((number, error)) = tried.take_if(|(number, _)| *number == manifest.checkpoint) {
                tracing::debug!(job = %of.job, checkpoint = %number, "a checkpoint that stays cannot be read");
                return Err(error.into());
            }
            let number = manifest.checkpoint;
            match self.open_in(manifest, of, run, first) {
                Ok(opened) => return opened,
                Err(error) => tried = Some((number, error)),
            }
        }
        let error = tried.map_or_else(|| PortError::retry("no checkpoint stays"), |(_, error)| error);
        Err(error.into())
    }

    /// The inner error is lasting; the outer one may be that the checkpoint is being retired.
    fn open_in(
        &self,
        manifest: Manifest,
        of: &StateOf,
        run: RunId,
        first: u16,
    ) -> Result<Result<Opened, ControlError>, PortError> {
        let known = manifest.pages.iter().map(|page| page.node.as_str());
        let Some(page) = manifest.pages.iter().find(|page| page.node == of.operator) else {
            return Ok(Err(ControlError::missing_in(&of.job, Thing::Node, of.operator.as_str(), known)));
        };
        let folder = RunFolder::new(&of.job, run);
        let bytes = self.parts.checkpoints.get(&folder.file(&page.file))?;
        let bytes = bytes.ok_or_else(|| PortError::retry(format!("the page of `{}` is gone", of.operator)))?;
        let snapshot = NodeSnapshot::decode(&bytes)
            .map_err(|why| PortError::fatal(format!("the page of `{}`: {why}", of.operator)))?;
        // While a state is being rewritten it stands there in both schemas, the newer one last.
        let named = |spec: &StateSpec| !spec.name.is_empty() && spec.name == of.state;
        let Some(place) = snapshot.states.iter().rposition(named) else {
            let known = snapshot.states.iter().map(|spec| spec.name.as_str()).filter(|name| !name.is_empty());
            return Ok(Err(ControlError::missing_in(&of.job, Thing::State, &of.state, known)));
        };
        let files: Arc<dyn FileStore> = (self.parts.open_run)(&of.job, run)?;
        let list: Vec<StateFile> = snapshot
            .subtasks
            .iter()
            .flat_map(|part| {
                let owned = KeyGroupRange { start: part.groups.start.max(first), end: part.groups.end };
                part.files.iter().map(move |file| StateFile { groups: common(file.groups, owned), ..*file })
            })
            .filter(|file| file.groups.start < file.groups.end)
            .collect();
        let entries = self.parts.state_reader.entries(&list, &*files)?;
        Ok(Ok(Opened { spec: snapshot.states[place].clone(), manifest, place, entries }))
    }
}

/// The key groups that are in both ranges.
fn common(one: KeyGroupRange, other: KeyGroupRange) -> KeyGroupRange {
    KeyGroupRange { start: one.start.max(other.start), end: one.end.min(other.end) }
}

/// The words of the module that runs, if the state is in its schema.
fn inspector_of(
    job: &JobView,
    of: &StateOf,
    spec: &StateSpec,
) -> Result<Option<Box<dyn gristmill_ports::Inspector>>, gristmill_types::CallFailure> {
    let Some(live) = job.live.as_ref().filter(|live| !live.has_ended()) else { return Ok(None) };
    let is_current = live.handle().states(&of.operator).is_ok_and(|(_, states)| states.contains(spec));
    if !is_current {
        return Ok(None);
    }
    live.handle().inspector(&of.operator).unwrap_or(Ok(None))
}

impl Opened {
    /// Entries of this state alone.
    fn next(&mut self) -> Result<Option<StateEntry>, PortError> {
        for entry in &mut self.entries {
            let entry = entry?;
            match (entry.state as usize).cmp(&self.place) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some(entry)),
                // States stand one behind the other.
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    fn page(mut self, after: Option<&Place>, limit: usize, mut codec: Codec) -> Result<ScannedPage, PortError> {
        let (mut entries, mut bytes, mut last) = (Vec::new(), 0, None);
        let mut next = None;
        while let Some(entry) = self.next()? {
            let place = Place { group: entry.group, key: entry.key, place: entry.place };
            if after.is_some_and(|after| place <= *after) {
                continue;
            }
            if entries.len() >= limit || bytes >= MOST_BYTES {
                next = last.as_ref().map(Place::write);
                break;
            }
            bytes += place.key.len() + entry.value.len();
            let (item, name) = match &place.place {
                EntryPlace::Value => (None, None),
                EntryPlace::Item(index) => (Some(*index), None),
                EntryPlace::Name(name) => (None, Some(name.clone())),
            };
            entries.push(ScannedEntry { key: place.key.clone(), item, entry: codec.show(name, entry.value) });
            last = Some(place);
        }
        let Self { manifest, spec, .. } = self;
        Ok(ScannedPage { checkpoint: manifest.checkpoint, taken_ms: manifest.started_ms, spec, entries, next })
    }

    fn count(mut self) -> Result<StateCount, PortError> {
        let (checkpoint, taken_ms) = (self.manifest.checkpoint, self.manifest.started_ms);
        let mut count = StateCount { checkpoint, taken_ms, keys: 0, entries: 0, bytes: 0 };
        let mut key: Option<Vec<u8>> = None;
        while let Some(entry) = self.next()? {
            count.entries += 1;
            let name = match &entry.place {
                EntryPlace::Name(name) => name.len(),
                EntryPlace::Value | EntryPlace::Item(_) => 0,
            };
            count.bytes += (name + entry.value.len()) as u64;
            if key.as_ref() != Some(&entry.key) {
                count.keys += 1;
                count.bytes += entry.key.len() as u64;
                key = Some(entry.key);
            }
        }
        Ok(count)
    }
}

/// Where an entry stands among those of its state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    group: KeyGroup,
    key: Vec<u8>,
    place: EntryPlace,
}

impl Place {
    /// As a client hands it back: the group, the key with its length before it, and the place within the key.
    fn write(&self) -> Vec<u8> {
        let mut bytes = self.group.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(self.key.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&self.key);
        match &self.place {
            EntryPlace::Value => bytes.push(0),
            EntryPlace::Item(index) => {
                bytes.push(1);
                bytes.extend_from_slice(&index.to_be_bytes());
            }
            EntryPlace::Name(name) => {
                bytes.push(2);
                bytes.extend_from_slice(name);
            }
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, ControlError> {
        Self::parsed(bytes).ok_or_else(|| {
            ControlError::BadName("`after` is none that a page has given as `next`: hand it over as it is".to_owned())
        })
    }

    fn parsed(bytes: &[u8]) -> Option<Self> {
        let (group, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
        let (kind, rest) = rest.split_first()?;
        let place = match kind {
            0 if rest.is_empty() => EntryPlace::Value,
            1 => EntryPlace::Item(u64::from_be_bytes(rest.try_into().ok()?)),
            2 => EntryPlace::Name(rest.to_vec()),
            _ => return None,
        };
        Some(Self { group: KeyGroup(u16::from_be_bytes(*group)), key: key.to_vec(), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_as_it_was_and_nothing_else_is_one() {
        for place in [EntryPlace::Value, EntryPlace::Item(7), EntryPlace::Name(b"n".to_vec())] {
            let place = Place { group: KeyGroup(300), key: b"key".to_vec(), place };
            assert_eq!(Place::read(&place.write()), Ok(place));
        }
        let good = Place { group: KeyGroup(3), key: b"key".to_vec(), place: EntryPlace::Item(7) }.write();
        for cut in 0..good.len() {
            assert!(Place::read(&good[..cut]).is_err(), "{cut}");
        }
        assert!(Place::read(&[0xff; 11]).is_err(), "a length beyond all bytes");
    }
}
