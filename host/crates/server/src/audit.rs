//! Every change stands in the audit log before it is made, and again with what came of it.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gristmill_ports::audit::{AuditOutcome, AuditRecord};
use serde_json::Value;

use crate::access::is_audited;
use crate::auth::Caller;
use crate::control::{Control, EDIT};
use crate::idempotency::key_of;
use crate::problem::{Code, Refused};

/// Middleware: no change without its record.
pub(crate) async fn record(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    let is_change =
        request.extensions().get::<MatchedPath>().is_some_and(|route| is_audited(request.method(), route.as_str()));
    if !is_change {
        return next.run(request).await;
    }
    recorded(&control, request, next).await.unwrap_or_else(Refused::into_response)
}

async fn recorded(control: &Control, request: Request, next: Next) -> Result<Response, Refused> {
    let (mut parts, body) = request.into_parts();
    // Bounded: `body::take_in` stands before this.
    let body = to_bytes(body, usize::MAX).await.map_err(|error| Refused::new(Code::BadRequest, error.to_string()))?;
    let job = path_job(&mut parts).await;
    let mut record = intent(&parts, &body);
    let number = control.set_down(&mut record).await.map_err(|error| {
        tracing::error!(%error, "the audit log cannot be written");
        Refused::new(Code::NotAudited, format!("nothing was done, because the audit log cannot be written: {error}"))
            .hint("repair the disk of the host's data directory, and send it again")
    })?;
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    // What is not a GET is answered at once and whole, never with a stream.
    let body = to_bytes(body, usize::MAX).await.map_err(|error| Refused::new(Code::Bug, error.to_string()))?;
    let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
    record.outcome = Some(AuditOutcome { intent: number, status: parts.status.as_u16(), ..about(&answer, job) });
    // It is done: that this cannot be written is told to the log, and the record before says that it was begun.
    if let Err(error) = control.set_down(&mut record).await {
        tracing::error!(%error, number, "what came of a change cannot be written to the audit log");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// The job in the path.
async fn path_job(parts: &mut Parts) -> Option<String> {
    let variables = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    variables.iter().find(|(name, _)| *name == "job").map(|(_, job)| job.to_owned())
}

/// The record before the change. Its time is the log's to say.
fn intent(parts: &Parts, body: &[u8]) -> AuditRecord {
    let caller = parts.extensions.get::<Caller>().expect("the door stands before this, and says who comes in");
    AuditRecord {
        at_ms: 0,
        who: caller.name.to_string(),
        role: caller.role.to_string(),
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        key: key_of(&parts.headers).ok().flatten().map(str::to_owned),
        body: (!body.is_empty()).then(|| blake3::hash(body).to_string()),
        outcome: None,
    }
}

/// What an answer is about: its job, its operation, its modules, its entry of state. Answers say these in the same fields everywhere.
fn about(answer: &Value, job: Option<String>) -> AuditOutcome {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let changed = [("old", &answer["detail"]["old"]), ("new", &answer["detail"]["new"])];
    let (modules, values) =
        if answer["kind"] == EDIT { (&changed[..0], &changed[..]) } else { (&changed[..], &changed[..0]) };
    let named = ["primary", "shadow", "canary"].map(|what| (what, &answer[what]));
    let named = [("module", &answer["hash"])].into_iter().chain(named);
    let named = named.chain(modules.iter().copied());
    let hashes = |(what, hash): (&str, &Value)| Some((what.to_owned(), text(hash)?));
    let by_operator =
        answer["modules"].as_object().into_iter().flatten().map(|(operator, hash)| (operator.as_str(), hash));
    let modules = named.chain(by_operator);
    AuditOutcome {
        job: job.or_else(|| text(&answer["job"])),
        // Operations alone have a kind.
        operation: answer.get("kind").and_then(|_| text(&answer["id"])),
        modules: modules.filter_map(hashes).collect(),
        values: values.iter().copied().filter_map(hashes).collect(),
        ..AuditOutcome::default()
    }
}
