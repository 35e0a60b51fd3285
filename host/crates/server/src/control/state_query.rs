//! The state of a running job, key by key: looked at between two batches, and edited.

use std::sync::Arc;
use std::time::Duration;

use gristmill_checkpoint::FileHash;
use gristmill_ports::CheckpointStore;
use gristmill_ports::catalog::{OperationRecord, OperationStatus};
use gristmill_runtime::{Edited, StateAddress, StateEdit, StateFound, StateLook, StateRefused};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CheckpointId, JobId, ModuleHash, NodeId, RunId};
use serde_json::{Value, json};
use tokio::sync::oneshot::error::RecvError;

use super::live::LiveJob;
use super::operations::LISTED;
use super::state_codec::Codec;
use super::storage::newest;
use super::{Control, ControlError, ShownStateEntry, Thing, Written, blocking};

/// The kind of an operation that edits state.
pub(crate) const EDIT: &str = "edit-state";
/// Entries of a key that one answer shows at most.
pub(crate) const PAGE: usize = 1000;
/// How long a subtask may take to come to the end of its batch and answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which state of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateOf {
    /// The job.
    pub job: JobId,
    /// The operator.
    pub operator: NodeId,
    /// The state, by name.
    pub state: String,
}

/// The states of an operator that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorStates {
    /// The module that declares them.
    pub module: ModuleHash,
    /// The states.
    pub states: Vec<StateSpec>,
    /// Keys that have any state, in all subtasks.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// What a key has in a state.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyState {
    /// The state.
    pub spec: StateSpec,
    /// The key's bytes.
    pub key: Vec<u8>,
    /// Its entries.
    pub entries: Vec<ShownStateEntry>,
    /// Where the next page begins, if there is one.
    pub next: Option<Vec<u8>>,
}

/// What of a key is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLook {
    /// One entry of a map.
    Entry(Written),
    /// All that it has, page by page.
    Page {
        /// Where the page before ended.
        after: Option<Vec<u8>>,
        /// Entries at most.
        limit: usize,
    },
}

/// What a key's state is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditWish {
    /// The value, or the entry of a map.
    Put {
        /// Of a map: the entry's name.
        name: Option<Written>,
        /// Its value.
        value: Written,
    },
    /// All items of a list.
    Items(Vec<Written>),
    /// Nothing: the entry is deleted, or all that the key has.
    Delete {
        /// Of a map: the entry's name, if only that is meant.
        name: Option<Written>,
    },
}

impl Control {
    /// The states of an operator.
    ///
    /// # Errors
    /// If there is no such job or operator, or the job does not run.
    pub async fn operator_states(&self, id: &JobId, operator: &NodeId) -> Result<OperatorStates, ControlError> {
        let job = self.job(id).await?;
        let live = job.running("asked for its state")?;
        let (module, states) = live.handle().states(operator).map_err(|refused| told(live, refused))?;
        let report = live.report();
        let counts = report.nodes.iter().find(|node| node.id == *operator).map(|node| &node.total);
        let (keys, bytes) = counts.map_or((0, 0), |counts| (counts.state_keys, counts.state_bytes));
        Ok(OperatorStates { module, states, keys, bytes })
    }

    /// What a key has in a state at this moment.
    ///
    /// # Errors
    /// If there is no such job, operator or state, the job does not run, or the key's subtask does not answer.
    pub async fn look_at_state(&self, of: StateOf, key: Written, look: KeyLook) -> Result<KeyState, ControlError> {
        let job = self.job(&of.job).await?;
        let live = Arc::clone(job.running("asked for its state")?);
        blocking(move || {
            let Asking { at, mut codec, spec } = Asking::new(&live, &of, &key)?;
            let look = match look {
                KeyLook::Entry(name) => StateLook::Entry(codec.name(&name)?),
                KeyLook::Page { after, limit } => StateLook::Page { after, limit: limit.clamp(1, PAGE) },
            };
            let found = live.handle().look_at_state(&at, look, PATIENCE);
            let StateFound { entries, next } = found.map_err(|refused| told(&live, refused))?;
            let entries = entries.into_iter().map(|entry| codec.show(entry.name, entry.value)).collect();
            Ok(KeyState { spec, key: at.key, entries, next })
        })
        .await?
    }

    /// Edits what a key has in a state. When this returns, the edit is seen by the next call of the operator; the operation
    /// succeeds once a checkpoint that has it is decided. If the job goes back to one before, it never happened, and the
    /// operation says so.
    ///
    /// # Errors
    /// If there is no such job, operator or state; it is of another kind; the job does not run; the subtask does not answer.
    /// Nothing was changed then.
    pub async fn edit_state(
        self: &Arc<Self>,
        of: StateOf,
        key: Written,
        wish: EditWish,
    ) -> Result<OperationRecord, ControlError> {
        let job = self.job(&of.job).await?;
        let live = Arc::clone(job.running("given other state")?);
        let (asking, id) = (Arc::clone(&live), of.job.clone());
        let (at, edit, detail) = blocking(move || {
            let Asking { at, mut codec, .. } = Asking::new(&asking, &of, &key)?;
            let edit = wish.understood(&mut codec)?;
            let detail = json!({"entry": entry_told(&at, &edit), "new": new_hash(&edit)});
            Ok::<_, ControlError>((at, edit, detail))
        })
        .await??;
        let mut operation = self.begin_with(EDIT, &id, detail).await?;
        let editing = Arc::clone(&live);
        let edited = blocking(move || editing.handle().edit_state(&at, edit, PATIENCE)).await?;
        let Edited { before, after, decided } = match edited {
            Ok(edited) => edited,
            Err(refused) => {
                let refused = told(&live, refused);
                self.end(operation, Err(json!({"message": refused.to_string()}))).await;
                return Err(refused);
            }
        };
        (operation.detail["old"], operation.detail["after"]) = (json!(old_hash(&before)), json!(after));
        let written = operation.clone();
        // Done is done: who hears that this cannot be written would take it for refused.
        if let Err(error) = self.ask(move |catalog| catalog.put_operation(&written)).await {
            tracing::warn!(operation = %operation.id, %error, "an edit of state cannot be written down");
        }
        let (control, begun) = (Arc::clone(self), operation.clone());
        tokio::spawn(async move { control.follow_edit(&live, begun, decided.await).await });
        Ok(operation)
    }

    async fn follow_edit(
        &self,
        live: &LiveJob,
        operation: OperationRecord,
        decided: Result<Result<CheckpointId, String>, RecvError>,
    ) {
        let mut detail = operation.detail.clone();
        let outcome = match decided {
            Ok(Ok(checkpoint)) => {
                detail["checkpoint"] = json!(checkpoint);
                Ok(detail)
            }
            // A host that goes down leaves the operation as it is: the next one knows what the job goes on from.
            Ok(Err(_)) | Err(_) if live.is_gone() && !live.has_ended() => return,
            Ok(Err(why)) => {
                detail["message"] = json!(why);
                Err(detail)
            }
            Err(_) => {
                detail["message"] = json!("the job ended before a checkpoint with the edit was decided");
                Err(detail)
            }
        };
        self.end(operation, outcome).await;
    }
}

impl Control {
    /// Ends the edits of a job of which nothing runs, by its newest checkpoint.
    pub(super) async fn settle_edits(&self, id: &JobId) -> Result<(), ControlError> {
        let (id, now_ms) = (id.clone(), self.now_ms());
        let checkpoints = Arc::clone(&self.parts.checkpoints);
        self.ask(move |catalog| {
            let run = catalog.job(&id)?.and_then(|record| record.run);
            let is_open = |one: &OperationRecord| {
                one.status == OperationStatus::Running && one.kind == EDIT && one.job.as_ref() == Some(&id)
            };
            for mut operation in catalog.operations(LISTED)?.into_iter().filter(is_open) {
                (operation.status, operation.detail) = match settled_edit(&*checkpoints, &id, run, &operation.detail) {
                    Ok(detail) => (OperationStatus::Succeeded, detail),
                    Err(detail) => (OperationStatus::Failed, detail),
                };
                operation.changed_ms = now_ms;
                catalog.put_operation(&operation)?;
            }
            Ok(())
        })
        .await
    }
}

/// What became of an edit that an earlier host has left: nothing of its job runs yet, so its newest checkpoint says it.
pub(super) fn settled_edit(
    store: &dyn CheckpointStore,
    job: &JobId,
    run: Option<RunId>,
    detail: &Value,
) -> Result<Value, Value> {
    let told = |what: &str, value: Value| {
        let mut detail = detail.clone();
        detail[what] = value;
        detail
    };
    let fails = |message: String| Err(told("message", json!(message)));
    let (Some(after), Some(run)) = (detail["after"].as_u64().map(CheckpointId), run) else {
        return fails("the host stopped before it was known whether it happened: look at the state".to_owned());
    };
    match newest(store, job, run, None) {
        Err(error) => fails(format!("whether it happened cannot be known, look at the state: {error}")),
        Ok(Some(manifest)) if manifest.checkpoint > after => Ok(told("checkpoint", json!(manifest.checkpoint))),
        Ok(_) => fails("the host stopped before a checkpoint with it was decided: it never happened".to_owned()),
    }
}

/// A key of a state that is asked for, and the words for it.
struct Asking {
    at: StateAddress,
    codec: Codec,
    spec: StateSpec,
}

impl Asking {
    /// Blocks.
    fn new(live: &LiveJob, of: &StateOf, key: &Written) -> Result<Self, ControlError> {
        let handle = live.handle();
        let refused = |refused| told(live, refused);
        let (_, states) = handle.states(&of.operator).map_err(refused)?;
        let known: Vec<&str> = states.iter().map(|spec| spec.name.as_str()).collect();
        let spec = states.iter().find(|spec| spec.name == of.state).cloned();
        let spec = spec.ok_or_else(|| ControlError::missing_in(&of.job, Thing::State, &of.state, known))?;
        let key = match key {
            Written::Bytes(bytes) => bytes.clone(),
            Written::Text(text) | Written::Json(text) => handle.state_key(&of.operator, text).map_err(refused)?,
        };
        let codec = Codec::new(handle.inspector(&of.operator).map_err(refused)?, spec.clone(), live.secrets());
        let at = StateAddress { operator: of.operator.clone(), state: of.state.clone(), key };
        Ok(Self { at, codec, spec })
    }
}

impl EditWish {
    /// The edit in bytes.
    fn understood(self, codec: &mut Codec) -> Result<StateEdit, ControlError> {
        Ok(match self {
            Self::Put { name: None, value } => StateEdit::PutValue(codec.value(&value)?),
            Self::Put { name: Some(name), value } => {
                StateEdit::PutEntry { name: codec.name(&name)?, value: codec.value(&value)? }
            }
            Self::Items(items) => {
                StateEdit::SetItems(items.iter().map(|item| codec.value(item)).collect::<Result<_, _>>()?)
            }
            Self::Delete { name: Some(name) } => StateEdit::DeleteEntry(codec.name(&name)?),
            Self::Delete { name: None } => StateEdit::Clear,
        })
    }
}

/// A refusal of the job in the control's words.
fn told(live: &LiveJob, refused: StateRefused) -> ControlError {
    let handle = live.handle();
    match refused {
        StateRefused::NotRunning(not_running) => ControlError::NoAnswer(not_running.to_string()),
        StateRefused::NoSuchOperator { job, operator } => {
            let report = handle.report();
            let operators: Vec<_> = report.nodes.iter().map(|node| node.id.as_str()).collect();
            ControlError::missing_in(&job, Thing::Node, operator.as_str(), operators)
        }
        StateRefused::NoAnswer { .. } => ControlError::NoAnswer(refused.to_string()),
        StateRefused::NoSuchState { .. }
        | StateRefused::WrongKind { .. }
        | StateRefused::BadKey { .. }
        | StateRefused::State(_) => ControlError::StateRefused(live.hide_secrets(&refused.to_string())),
    }
}

/// Which entry an operation is about.
fn entry_told(at: &StateAddress, edit: &StateEdit) -> Value {
    let mut entry = json!({"operator": at.operator, "state": at.state, "key": readable(&at.key)});
    match edit {
        StateEdit::PutEntry { name, .. } | StateEdit::DeleteEntry(name) => entry["name"] = json!(readable(name)),
        StateEdit::PutValue(_) | StateEdit::SetItems(_) | StateEdit::Clear => {}
    }
    entry
}

/// Bytes in a report: as text if they are that, for whoever looks for a key in it.
fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The hash of what there was: of the value, or of all that the key had. None if that was nothing, or too much to look
/// through.
fn old_hash(before: &StateFound) -> Option<String> {
    match (&before.entries[..], &before.next) {
        ([], _) | (_, Some(_)) => None,
        ([one], None) => Some(FileHash::of(&one.value).to_string()),
        (many, None) => Some(hash_of_all(many.iter().map(|entry| &entry.value))),
    }
}

/// The hash of what there is from now on.
fn new_hash(edit: &StateEdit) -> Option<String> {
    match edit {
        StateEdit::PutValue(value) | StateEdit::PutEntry { value, .. } => Some(FileHash::of(value).to_string()),
        StateEdit::SetItems(items) => match &items[..] {
            [] => None,
            [one] => Some(FileHash::of(one).to_string()),
            many => Some(hash_of_all(many.iter())),
        },
        StateEdit::DeleteEntry(_) | StateEdit::Clear => None,
    }
}

/// Of the values one after the other, each with its length before it.
fn hash_of_all<'a>(values: impl Iterator<Item = &'a Vec<u8>>) -> String {
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value);
    }
    FileHash::of(&bytes).to_string()
}
