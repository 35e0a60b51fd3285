//! `/v1/modules`

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode};
use gristmill_types::ModuleName;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api_types::{ForgottenModule, ModuleForm, ModuleList, ModuleView, Problem, PushAnswer, RawBytes};
use crate::control::{Control, ModuleRef, PushResult};
use crate::extract::{Answer, Answered, Params, Path, media_type, unsupported};
use crate::problem::{Code, Refused};

/// How a module is uploaded.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PushQuery {
    /// `name@version` to give it; without one it is found by its hash only.
    name: Option<String>,
    /// Say whether it would be admitted, and keep nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Upload a module
///
/// The body is the Wasm file itself, or a form with one file and, if wanted, a field `name`. Compiles for seconds if it
/// is large and new.
#[utoipa::path(
    post, path = "/v1/modules", operation_id = "push_module", tag = "modules", params(PushQuery),
    request_body(content(
        (RawBytes = "application/wasm"), (RawBytes = "application/octet-stream"), (ModuleForm = "multipart/form-data"),
    )),
    responses(
        (status = 201, body = PushAnswer, description = "it is new, or its name is"),
        (status = 200, body = PushAnswer, description = "it was there, or this was a dry run"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the name stands for other bytes"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "it is not admitted"),
    )
)]
pub(super) async fn push(
    State(control): State<Arc<Control>>,
    Params(query): Params<PushQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered<PushAnswer> {
    let (name, bytes) = match media_type(&headers).as_deref() {
        None | Some("application/wasm" | "application/octet-stream") => (query.name, body),
        Some("multipart/form-data") => {
            let (name, bytes) = read_form(headers, body).await?;
            (query.name.or(name), bytes)
        }
        Some(other) => {
            return Err(unsupported(other, "application/wasm, application/octet-stream or multipart/form-data"));
        }
    };
    let name = name.map(|name| name.parse::<ModuleName>()).transpose()?;
    let pushed = control.push_module(name, bytes, query.dry_run).await?;
    let status = match pushed.result {
        PushResult::Created | PushResult::Named => StatusCode::CREATED,
        PushResult::Unchanged | PushResult::DryRun => StatusCode::OK,
    };
    Ok(Answer(status, pushed.into()))
}

/// The fields of a form: perhaps a name, and the bytes of its file.
async fn read_form(headers: HeaderMap, body: Bytes) -> Result<(Option<String>, Bytes), Refused> {
    let malformed = |error: String| {
        Refused::new(Code::BadRequest, format!("the form cannot be read: {error}"))
            .hint("send the module as the form's file, or as a raw body with the content type application/wasm")
    };
    let mut request = Request::new(Body::from(body));
    *request.headers_mut() = headers;
    // The body is bounded already.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| malformed(error.body_text()))?;
    let (mut name, mut file) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|error| malformed(error.body_text()))? {
        let is_name = field.name() == Some("name");
        let bytes = field.bytes().await.map_err(|error| malformed(error.body_text()))?;
        if is_name {
            name = Some(String::from_utf8(bytes.into()).map_err(|_| malformed("the name is not text".to_owned()))?);
        } else if file.replace(bytes).is_some() {
            return Err(malformed("it has more than one file".to_owned()));
        }
    }
    let file = file.ok_or_else(|| malformed("it has no file".to_owned()))?;
    Ok((name, file))
}

/// All modules
#[utoipa::path(
    get, path = "/v1/modules", operation_id = "list_modules", tag = "modules",
    responses((status = 200, body = ModuleList, description = "all modules, newest first"))
)]
pub(super) async fn list(State(control): State<Arc<Control>>) -> Answered<ModuleList> {
    let modules = control.modules().await?.into_iter().map(ModuleView::from).collect();
    Ok(Answer::ok(ModuleList { modules }))
}

/// One module
#[utoipa::path(
    get, path = "/v1/modules/{module}", operation_id = "inspect_module", tag = "modules",
    params(("module" = String, Path, description = "name@version, the hash, or its first digits (6 at least)")),
    responses(
        (status = 200, body = ModuleView, description = "the module"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such module"),
    )
)]
pub(super) async fn inspect(State(control): State<Arc<Control>>, Path(module): Path<String>) -> Answered<ModuleView> {
    let record = control.module(&reference(&module)?).await?;
    Ok(Answer::ok(record.into()))
}

/// Forget a name, or a module
///
/// By name: the name goes, and the module with the last of its names. By hash: the module and all its names. A module
/// stays while a job that is not over uses it.
#[utoipa::path(
    delete, path = "/v1/modules/{module}", operation_id = "delete_module", tag = "modules",
    params(("module" = String, Path, description = "name@version, the hash, or its first digits (6 at least)")),
    responses(
        (status = 200, body = ForgottenModule, description = "what is forgotten"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such module"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "a job uses it, or keeps a checkpoint that names it"),
    )
)]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path(module): Path<String>,
) -> Answered<ForgottenModule> {
    let deleted = control.delete_module(&reference(&module)?).await?;
    Ok(Answer::ok(deleted.into()))
}

fn reference(text: &str) -> Result<ModuleRef, Refused> {
    text.parse().map_err(|error: crate::control::NotAModuleRef| Refused::new(Code::BadName, error.to_string()))
}
