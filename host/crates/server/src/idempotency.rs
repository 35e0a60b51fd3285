//! Idempotency keys: a client that did not hear the answer sends the same request again and gets the first answer.
//!
//! Only success is remembered. A refused request changed nothing, so it may be repaired and sent under the same key.
//!
//! The keys of posted events are not kept here but with the events, in the log of their source: an answer is remembered
//! only after it was given, and the host may go down in between.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gristmill_ports::catalog::RememberedAnswer;

use crate::access::EVENTS;
use crate::control::Control;
use crate::problem::{Code, Refused};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is one from before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key in bytes.
const MAX_KEY_BYTES: usize = 255;
/// Largest answer that is remembered; ours are a few KiB.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Remembers answers in the catalog.
pub(crate) struct Idempotency {
    control: Arc<Control>,
    in_flight: Mutex<HashSet<String>>,
}

impl Idempotency {
    pub(crate) fn new(control: Arc<Control>) -> Arc<Self> {
        Arc::new(Self { control, in_flight: Mutex::default() })
    }

    /// Takes a key for the length of one request.
    fn claim(self: &Arc<Self>, key: &str) -> Option<Claim> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.insert(key.to_owned()).then(|| Claim { of: Arc::clone(self), key: key.to_owned() })
    }
}

/// A key in use; free again when dropped.
struct Claim {
    of: Arc<Idempotency>,
    key: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.of.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The idempotency key of a request, if it has one.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let Some(key) = headers.get(KEY) else { return Ok(None) };
    let is_good = |key: &&str| !key.is_empty() && key.len() <= MAX_KEY_BYTES;
    key.to_str().ok().filter(is_good).map(Some).ok_or_else(|| {
        Refused::new(Code::BadRequest, "the idempotency key has 1 to 255 printable ASCII characters")
            .hint("make a new one for each action, such as a UUID")
    })
}

/// Middleware: answers a POST from memory if its key has been answered before.
pub(crate) async fn answer_once(State(memory): State<Arc<Idempotency>>, request: Request, next: Next) -> Response {
    let kept_elsewhere = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == EVENTS);
    if request.method() != Method::POST || kept_elsewhere {
        return next.run(request).await;
    }
    let key = key_of(request.headers()).map(|key| key.map(str::to_owned));
    match key {
        Ok(None) => next.run(request).await,
        Ok(Some(key)) => answer(&memory, key, request, next).await.unwrap_or_else(Refused::into_response),
        Err(refused) => refused.into_response(),
    }
}

async fn answer(memory: &Arc<Idempotency>, key: String, request: Request, next: Next) -> Result<Response, Refused> {
    let _claim = memory.claim(&key).ok_or_else(|| {
        Refused::new(Code::IdempotencyInFlight, format!("a request under the key `{key}` is still being answered"))
            .hint("ask again in a moment")
            .retry_after_ms(1000)
    })?;
    let (parts, body) = request.into_parts();
    // Bounded: `body::take_in` stands before this.
    let body = to_bytes(body, usize::MAX).await.map_err(|error| Refused::new(Code::BadRequest, error.to_string()))?;
    let content_type = parts.headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let request_hash = hash(&parts.method, &parts.uri.to_string(), content_type, &body);
    if let Some(remembered) = memory.control.remembered(&key).await? {
        return replay(&key, remembered, request_hash);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let (parts, body) = response.into_parts();
    // Ours, and bounded by what it answers.
    let body = to_bytes(body, usize::MAX).await.map_err(|error| Refused::new(Code::Bug, error.to_string()))?;
    let short = Bytes::from_static(b"{\"remembered\":\"the action was done; its answer was too long to be kept\"}");
    let kept = if body.len() > MAX_ANSWER_BYTES { &short } else { &body };
    remember(memory, &key, request_hash, status, kept).await;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// The action is done; that it cannot be remembered is told to the log and not to the client.
async fn remember(memory: &Idempotency, key: &str, request_hash: [u8; 32], status: StatusCode, body: &Bytes) {
    let body = String::from_utf8_lossy(body).into_owned();
    if let Err(error) = memory.control.remember(key, request_hash, status.as_u16(), body).await {
        tracing::error!(key, %error, "an answer cannot be remembered");
    }
}

fn replay(key: &str, remembered: RememberedAnswer, request_hash: [u8; 32]) -> Result<Response, Refused> {
    if remembered.request_hash != request_hash {
        let detail = format!("the idempotency key `{key}` was used for another request");
        return Err(Refused::new(Code::IdempotencyMismatch, detail).hint("make a new key for each action"));
    }
    let status = StatusCode::from_u16(remembered.status).unwrap_or(StatusCode::OK);
    let mut response = (status, remembered.body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Each part with its length before it, so that no two requests run together.
fn hash(method: &Method, uri: &str, content_type: &[u8], body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [method.as_str().as_bytes(), uri.as_bytes(), content_type, body] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_differ_anywhere_have_different_hashes() {
        let base = hash(&Method::POST, "/v1/jobs", b"application/json", b"{}");
        assert_eq!(base, hash(&Method::POST, "/v1/jobs", b"application/json", b"{}"));
        for other in [
            hash(&Method::DELETE, "/v1/jobs", b"application/json", b"{}"),
            hash(&Method::POST, "/v1/jobs?dry_run=true", b"application/json", b"{}"),
            hash(&Method::POST, "/v1/jobs", b"application/yaml", b"{}"),
            hash(&Method::POST, "/v1/jobs", b"application/json", b"{ }"),
            hash(&Method::POST, "/v1/job", b"sapplication/json", b"{}"),
        ] {
            assert_ne!(base, other);
        }
    }
}
