//! `/v1/jobs/{job}/operators/{operator}/states` and `…/state/{state}`

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gristmill_types::CheckpointId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::jobs::under_way;
use crate::access::Role;
use crate::api_types::{EditRequest, KeyStateView, OperationView, Problem, StateCountView, StateList, StatePageView};
use crate::auth::Caller;
use crate::control::{Control, EditWish, KeyLook, ReadFrom, StateOf, Written};
use crate::extract::{Answer, Answered, Params, Path, json};
use crate::problem::{Code, Refused};

/// The states of an operator
#[utoipa::path(
    get, path = "/v1/jobs/{job}/operators/{operator}/states", operation_id = "list_states", tag = "state",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    responses(
        (status = 200, body = StateList, description = "names, kinds, versions and sizes"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job or operator"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
    )
)]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
) -> Answered<StateList> {
    Ok(Answer::ok(control.operator_states(&job.parse()?, &operator.parse()?).await?.into()))
}

/// Which state, for the description.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it only describes")]
pub(super) struct StatePath {
    /// the job's id
    job: String,
    /// the operator's id
    operator: String,
    /// the state's name
    state: String,
}

/// What of a state is to be seen.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LookQuery {
    /// The key, as the JSON path of the input gives it: the text of a string, the JSON of anything else, and of several paths
    /// a JSON array. Without a key, all of the state is read, from a checkpoint.
    key: Option<String>,
    /// The same, as bytes in base64.
    key_base64: Option<String>,
    /// With a key, of a map: only the entry of this name.
    name: Option<String>,
    /// The same, as bytes in base64.
    name_base64: Option<String>,
    /// What the page before gave as `next`.
    after: Option<String>,
    /// Entries at most; never more than 1000.
    #[serde(default = "some_entries")]
    limit: usize,
    /// Without a key: has a checkpoint made first.
    #[serde(default)]
    fresh: bool,
    /// Without a key: reads this checkpoint, if it is kept still.
    checkpoint: Option<u64>,
}

fn some_entries() -> usize {
    100
}

/// Look at the state of a key, or at all of a state
///
/// With a key: what it has at this moment, asked of the subtask that owns it, between two of its batches. Without one: a
/// page of the newest decided checkpoint, which the stream knows nothing of.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/operators/{operator}/state/{state}", operation_id = "read_state", tag = "state",
    params(StatePath, LookQuery),
    responses(
        (status = 200, content_type = "application/json", description = "the key's entries, or a page of the state",
            body = StatePageOrKey),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, operator, state or checkpoint"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "the state is of another kind, or it is no such key"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the key's subtask does not answer"),
    )
)]
pub(super) async fn read(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Path(of): Path<(String, String, String)>,
    Params(query): Params<LookQuery>,
) -> Result<Response, Refused> {
    let of = state_of(of)?;
    has_checkpoint_made(&caller, query.fresh)?;
    let LookQuery { key, key_base64, name, name_base64, after, limit, fresh, checkpoint } = query;
    let (key, name) = (written("key", key, key_base64)?, written("name", name, name_base64)?);
    let after = after.map(|after| cursor(&after)).transpose()?;
    let Some(key) = key else {
        if name.is_some() {
            return Err(Refused::new(Code::BadRequest, "a `name` is looked up with its `key`"));
        }
        let from = match (fresh, checkpoint) {
            (true, Some(_)) => {
                return Err(Refused::new(
                    Code::BadRequest,
                    "`fresh` has a checkpoint made, `checkpoint` names one: say one of them",
                ));
            }
            (true, None) => ReadFrom::Fresh,
            (false, Some(number)) => ReadFrom::Checkpoint(CheckpointId(number)),
            (false, None) => ReadFrom::Newest,
        };
        let page = control.scan_state(of.clone(), from, after.as_deref(), limit).await?;
        return Ok(Answer::ok(StatePageView::new(&of, page)).into_response());
    };
    if fresh || checkpoint.is_some() {
        return Err(Refused::new(
            Code::BadRequest,
            "a key is read as it is now: `fresh` and `checkpoint` go without one",
        ));
    }
    let look = match name {
        Some(name) => KeyLook::Entry(name),
        None => KeyLook::Page { after, limit },
    };
    let found = control.look_at_state(of.clone(), key, look).await?;
    Ok(Answer::ok(KeyStateView::new(&of, found)).into_response())
}

/// Either of the two answers, for the description.
#[derive(utoipa::ToSchema)]
#[schema(as = StateAnswer)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum StatePageOrKey {
    Key(KeyStateView),
    Page(StatePageView),
}

/// Which checkpoint is counted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CountQuery {
    /// Has a checkpoint made first.
    #[serde(default)]
    fresh: bool,
}

/// Count the entries of a state
///
/// In the newest decided checkpoint.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/operators/{operator}/state/{state}/count", operation_id = "count_state", tag = "state",
    params(StatePath, CountQuery),
    responses(
        (status = 200, body = StateCountView, description = "keys, entries, bytes"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, operator or state"),
    )
)]
pub(super) async fn count(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Path(of): Path<(String, String, String)>,
    Params(CountQuery { fresh }): Params<CountQuery>,
) -> Answered<StateCountView> {
    has_checkpoint_made(&caller, fresh)?;
    let from = if fresh { ReadFrom::Fresh } else { ReadFrom::Newest };
    Ok(Answer::ok(control.count_state(state_of(of)?, from).await?.into()))
}

/// To have a checkpoint made is more than to look.
fn has_checkpoint_made(caller: &Caller, fresh: bool) -> Result<(), Refused> {
    if fresh { caller.must_be(Role::Operator, "`fresh`, which has a checkpoint made,") } else { Ok(()) }
}

/// Whose state is edited.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EditQuery {
    /// The key, as for reading.
    key: Option<String>,
    /// The same, as bytes in base64.
    key_base64: Option<String>,
    /// Of a map: the entry of this name.
    name: Option<String>,
    /// The same, as bytes in base64.
    name_base64: Option<String>,
}

impl EditQuery {
    fn parts(self) -> Result<(Written, Option<Written>), Refused> {
        let Self { key, key_base64, name, name_base64 } = self;
        let key = written("key", key, key_base64)?;
        let key = key.ok_or_else(|| Refused::new(Code::BadRequest, "say whose state it is: `key` or `key_base64`"))?;
        Ok((key, written("name", name, name_base64)?))
    }
}

/// Put a value, an entry of a map, or the items of a list
///
/// A transaction between two calls of the operator; whatever its module has cached is void then. The operation succeeds
/// once a checkpoint that has the edit is decided. If the job goes back to one before, the edit never happened, and the
/// operation fails and says so.
#[utoipa::path(
    put, path = "/v1/jobs/{job}/operators/{operator}/state/{state}", operation_id = "put_state", tag = "state",
    params(StatePath, EditQuery),
    request_body = EditRequest,
    responses(
        (status = 202, body = OperationView, description = "it took effect; the operation tells whether it lasts"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, operator or state"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "the state does not take it; nothing was changed"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the key's subtask does not answer; nothing was changed"),
    )
)]
pub(super) async fn put(
    State(control): State<Arc<Control>>,
    Path(of): Path<(String, String, String)>,
    Params(query): Params<EditQuery>,
    body: Bytes,
) -> Result<Response, Refused> {
    let (key, name) = query.parts()?;
    let wish = wish(name, json(&body)?)?;
    Ok(under_way(control.edit_state(state_of(of)?, key, wish).await?))
}

/// Delete what a key has in a state, or one entry of its map
///
/// As a put of nothing.
#[utoipa::path(
    delete, path = "/v1/jobs/{job}/operators/{operator}/state/{state}", operation_id = "delete_state", tag = "state",
    params(StatePath, EditQuery),
    responses(
        (status = 202, body = OperationView, description = "it took effect; the operation tells whether it lasts"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, operator or state"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "the state is of another kind; nothing was changed"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the key's subtask does not answer; nothing was changed"),
    )
)]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path(of): Path<(String, String, String)>,
    Params(query): Params<EditQuery>,
) -> Result<Response, Refused> {
    let (key, name) = query.parts()?;
    Ok(under_way(control.edit_state(state_of(of)?, key, EditWish::Delete { name }).await?))
}

fn state_of((job, operator, state): (String, String, String)) -> Result<StateOf, Refused> {
    Ok(StateOf { job: job.parse()?, operator: operator.parse()?, state })
}

/// A text, or bytes in base64, if either was given.
fn written(what: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Written>, Refused> {
    match (text, base64) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Written::Text(text))),
        (None, Some(base64)) => bytes(&format!("{what}_base64"), &base64).map(|bytes| Some(Written::Bytes(bytes))),
        (Some(_), Some(_)) => {
            Err(Refused::new(Code::BadRequest, format!("`{what}` and `{what}_base64` mean the same: say one of them")))
        }
    }
}

fn bytes(what: &str, base64: &str) -> Result<Vec<u8>, Refused> {
    STANDARD.decode(base64).map_err(|error| {
        let error = error.to_string();
        Refused::new(Code::BadRequest, format!("`{what}` is not base64: {}", error.trim_end_matches('.')))
            .hint("the standard alphabet, padded; in a query `+` is written %2B")
    })
}

fn cursor(after: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(after).map_err(|_| {
        Refused::new(Code::BadRequest, "`after` is none that a page has given as `next`: hand it over as it is")
    })
}

fn wish(name: Option<Written>, request: EditRequest) -> Result<EditWish, Refused> {
    let raw = |raw: &serde_json::value::RawValue| Written::Json(raw.get().to_owned());
    let EditRequest { value, value_base64, values, values_base64 } = request;
    match (value, value_base64, values, values_base64) {
        (Some(value), None, None, None) => Ok(EditWish::Put { name, value: raw(&value) }),
        (None, Some(base64), None, None) => {
            Ok(EditWish::Put { name, value: Written::Bytes(bytes("value_base64", &base64)?) })
        }
        (None, None, Some(_), None) | (None, None, None, Some(_)) if name.is_some() => {
            Err(Refused::new(Code::BadRequest, "an entry of a map has one `value`"))
        }
        (None, None, Some(values), None) => Ok(EditWish::Items(values.iter().map(|value| raw(value)).collect())),
        (None, None, None, Some(values)) => {
            let bytes = |base64: &String| bytes("values_base64", base64).map(Written::Bytes);
            Ok(EditWish::Items(values.iter().map(bytes).collect::<Result<_, _>>()?))
        }
        _ => Err(Refused::new(
            Code::BadRequest,
            "the body says one of `value`, `value_base64`, `values` and `values_base64`",
        )),
    }
}
