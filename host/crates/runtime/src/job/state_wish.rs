//! Asking a running job for the state of a key: who owns the key is asked, between two of its batches.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use gristmill_dataflow::document::KeyBy;
use gristmill_ports::Inspector;
use gristmill_ports::state::StateError;
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CallFailure, JobId, ModuleHash, NodeId, StateIndex, SubtaskIndex, key_hash};
use tokio::sync::oneshot;

use crate::control::Control;
use crate::job::assemble::operator_context;
use crate::job::handle::{JobHandle, NotRunning};
use crate::job::shared::NodeSeat;
use crate::state_access::{Act, Deed, Edited, StateAddress, StateControl, StateEdit, StateFound, StateKey, StateLook};

/// Why state is not shown, or not changed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateRefused {
    /// Nothing of the job runs right now.
    #[error(transparent)]
    NotRunning(#[from] NotRunning),
    /// There is no such operator.
    #[error("job `{job}` has no operator `{operator}`")]
    NoSuchOperator {
        /// The job.
        job: JobId,
        /// What was named.
        operator: NodeId,
    },
    /// The operator's module declares no such state.
    #[error("operator `{operator}` has no state `{state}`{}", there_is(.known))]
    NoSuchState {
        /// The operator.
        operator: NodeId,
        /// What was named.
        state: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The state is of another kind.
    #[error("state `{state}` of operator `{operator}` is of another kind: {why}")]
    WrongKind {
        /// The operator.
        operator: NodeId,
        /// The state.
        state: String,
        /// What would fit.
        why: &'static str,
    },
    /// Bytes that cannot be a key of this operator.
    #[error("`{key}` is no key of operator `{operator}`: {why}")]
    BadKey {
        /// The operator.
        operator: NodeId,
        /// What was given.
        key: String,
        /// Why.
        why: String,
    },
    /// The state does not take it.
    #[error(transparent)]
    State(#[from] StateError),
    /// The subtask did not answer.
    #[error(
        "subtask {subtask} of operator `{operator}` did not answer in {seconds} s: it restores its state, retries a call, or \
         waits for those that it sends to; nothing was changed"
    )]
    NoAnswer {
        /// The operator.
        operator: NodeId,
        /// The owner of the key.
        subtask: SubtaskIndex,
        /// How long it was waited for.
        seconds: u64,
    },
}

fn there_is(known: &[String]) -> String {
    if known.is_empty() { ", and no other".to_owned() } else { format!("; it has {}", known.join(", ")) }
}

/// What somebody waits for, at whom. The deed is gone if the subtask is.
struct Asked<'a> {
    seat: &'a NodeSeat,
    subtask: SubtaskIndex,
    deed: Weak<Deed>,
}

impl JobHandle {
    /// The states of an operator, and the module that declares them.
    ///
    /// # Errors
    /// If there is no such operator.
    pub fn states(&self, operator: &NodeId) -> Result<(ModuleHash, Vec<StateSpec>), StateRefused> {
        let modules = self.shared.modules();
        let parts = modules.seated(operator).ok_or_else(|| self.no_such_operator(operator))?;
        Ok((parts.module, parts.prepared.factory.descriptor().states.clone()))
    }

    /// The bytes of a key as the operator's input has them, of a key as people write it: of an input that is keyed by one
    /// JSON path, a text, or a JSON string, or any other JSON; by several paths, a JSON array of what stands there.
    ///
    /// # Errors
    /// If there is no such operator, or it is no such key.
    pub fn state_key(&self, operator: &NodeId, written: &str) -> Result<Vec<u8>, StateRefused> {
        let seat = self.seat(operator).ok_or_else(|| self.no_such_operator(operator))?;
        let key_by = seat.inputs.iter().find_map(|(_, key_by)| key_by.as_ref());
        let refused = |why| StateRefused::BadKey { operator: operator.clone(), key: written.to_owned(), why };
        match key_by {
            None | Some(KeyBy::OwnKey) => Ok(written.as_bytes().to_vec()),
            Some(KeyBy::Paths(paths)) => key_at_paths(written, paths.len()).map_err(refused),
        }
    }

    /// What a key has in a state right now: all that was committed by calls of the operator. Blocks, for `patience` at
    /// most; not for a tokio worker.
    ///
    /// # Errors
    /// If the job does not run, has no such state, or its subtask does not answer.
    pub fn look_at_state(
        &self,
        at: &StateAddress,
        look: StateLook,
        patience: Duration,
    ) -> Result<StateFound, StateRefused> {
        let (module, spec, index) = self.spec_of(at)?;
        if let StateLook::Entry(name) = &look
            && let Some(why) = StateEdit::DeleteEntry(name.clone()).misfit(spec.kind)
        {
            return Err(wrong_kind(at, why));
        }
        let (answer, heard) = mpsc::channel();
        let of = StateKey { module, state: index, kind: spec.kind, key: at.key.clone() };
        let asked = self.ask(at, of, Act::Look { look, answer })?;
        self.await_answer(&asked, &heard, patience)
    }

    /// Changes what a key has in a state, as a transaction between two calls, and has a checkpoint made. Every cache of the
    /// guest is void then. Blocks until it took effect, for `patience` at most; not for a tokio worker.
    ///
    /// # Errors
    /// If the job does not run, has no such state, or its subtask does not answer: nothing was changed then.
    pub fn edit_state(&self, at: &StateAddress, edit: StateEdit, patience: Duration) -> Result<Edited, StateRefused> {
        let (module, spec, index) = self.spec_of(at)?;
        if let Some(why) = edit.misfit(spec.kind) {
            return Err(wrong_kind(at, why));
        }
        let (answer, heard) = mpsc::channel();
        let (tell, decided) = oneshot::channel();
        let of = StateKey { module, state: index, kind: spec.kind, key: at.key.clone() };
        let asked = self.ask(at, of, Act::Edit { edit, answer, decided: tell })?;
        let (before, after) = self.await_answer(&asked, &heard, patience)?;
        Ok(Edited { before, after, decided })
    }

    /// An instance that shows this operator's state to people, of the module that runs in it; `None` if that cannot.
    ///
    /// # Errors
    /// If the job does not run, or has no such operator; the inner one if it does not open.
    pub fn inspector(
        &self,
        operator: &NodeId,
    ) -> Result<Result<Option<Box<dyn Inspector>>, CallFailure>, StateRefused> {
        let seat = self.seat(operator).ok_or_else(|| self.no_such_operator(operator))?;
        let parts = self.shared.modules().seated(operator).cloned();
        let parts = parts.ok_or_else(|| self.no_such_operator(operator))?;
        let not_running = || NotRunning(self.shared.id.clone());
        let attempt = self.shared.attempt().filter(|_| !self.shared.is_over()).ok_or_else(not_running)?;
        let context = operator_context(&self.shared, seat, SubtaskIndex(0), false, &parts, &attempt.interrupt);
        Ok(parts.prepared.factory.inspector(context))
    }

    fn no_such_operator(&self, operator: &NodeId) -> StateRefused {
        StateRefused::NoSuchOperator { job: self.shared.id.clone(), operator: operator.clone() }
    }

    fn spec_of(&self, at: &StateAddress) -> Result<(ModuleHash, StateSpec, StateIndex), StateRefused> {
        let (module, states) = self.states(&at.operator)?;
        let place = states.iter().position(|spec| spec.name == at.state);
        let place = place.ok_or_else(|| StateRefused::NoSuchState {
            operator: at.operator.clone(),
            state: at.state.clone(),
            known: states.iter().map(|spec| format!("`{}`", spec.name)).collect(),
        })?;
        Ok((module, states[place].clone(), StateIndex(place as u32)))
    }

    /// Tells the subtask that owns the key.
    fn ask(&self, at: &StateAddress, of: StateKey, act: Act) -> Result<Asked<'_>, StateRefused> {
        let seat = self.seat(&at.operator).ok_or_else(|| self.no_such_operator(&at.operator))?;
        let not_running = || NotRunning(self.shared.id.clone());
        let attempt = self.shared.attempt().filter(|_| !self.shared.is_over()).ok_or_else(not_running)?;
        let max = self.shared.max_parallelism;
        let subtask = max.owner_of(max.group_of(key_hash(&at.key)), seat.parallelism);
        let deed = Arc::new(Deed::new(act));
        let asked = Asked { seat, subtask, deed: Arc::downgrade(&deed) };
        let control = StateControl { node: seat.place, of, deed };
        attempt.inboxes[seat.task][subtask.at()].tell(Control::State(control));
        Ok(asked)
    }

    /// What is not begun by then is given up; what is begun is waited for.
    fn await_answer<T>(
        &self,
        asked: &Asked<'_>,
        heard: &Receiver<Result<T, StateError>>,
        patience: Duration,
    ) -> Result<T, StateRefused> {
        let not_running = || StateRefused::NotRunning(NotRunning(self.shared.id.clone()));
        let answer = match heard.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) if asked.deed.upgrade().and_then(|deed| deed.take()).is_some() => {
                return Err(StateRefused::NoAnswer {
                    operator: asked.seat.id.clone(),
                    subtask: asked.subtask,
                    seconds: patience.as_secs(),
                });
            }
            Err(RecvTimeoutError::Timeout) => heard.recv().map_err(|_| not_running())?,
            Err(RecvTimeoutError::Disconnected) => return Err(not_running()),
            Ok(answer) => answer,
        };
        Ok(answer?)
    }
}

fn wrong_kind(at: &StateAddress, why: &'static str) -> StateRefused {
    StateRefused::WrongKind { operator: at.operator.clone(), state: at.state.clone(), why }
}

/// The bytes that JSON paths give as a key: of a string its text, of anything else its JSON; of several an array.
fn key_at_paths(written: &str, paths: usize) -> Result<Vec<u8>, String> {
    if paths > 1 {
        let parts: Vec<&serde_json::value::RawValue> = serde_json::from_str(written)
            .map_err(|error| format!("its input is keyed by {paths} paths, so it is a JSON array: {error}"))?;
        if parts.len() != paths {
            return Err(format!("its input is keyed by {paths} paths, and the array has {} parts", parts.len()));
        }
        let part = |part: &&serde_json::value::RawValue| match serde_json::from_str::<String>(part.get()) {
            Ok(text) => serde_json::Value::String(text).to_string(),
            Err(_) => part.get().to_owned(),
        };
        return Ok(format!("[{}]", parts.iter().map(part).collect::<Vec<_>>().join(",")).into_bytes());
    }
    // A text in quotes is the JSON string that it is; any other stands for itself.
    let quoted = written.starts_with('"').then(|| serde_json::from_str::<String>(written).ok()).flatten();
    Ok(quoted.map_or_else(|| written.as_bytes().to_vec(), String::into_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_the_json_that_they_are_taken_from() {
        for (written, paths, bytes) in [
            ("EWR", 1, "EWR"),
            (r#""EWR""#, 1, "EWR"),
            (r#""caf\u00e9""#, 1, "café"),
            ("\"half", 1, "\"half"),
            ("42", 1, "42"),
            ("1.50", 1, "1.50"),
            (r#"[ "a\u0041" , 2 ]"#, 2, r#"["aA",2]"#),
        ] {
            assert_eq!(key_at_paths(written, paths).map(|key| String::from_utf8(key).unwrap()), Ok(bytes.to_owned()));
        }
        assert!(key_at_paths("EWR", 2).unwrap_err().contains("a JSON array"));
        assert!(key_at_paths("[1]", 2).unwrap_err().contains("the array has 1 parts"));
    }
}
