//! `/v1/jobs/{job}/sources/{source}/events`: events posted into an `http` source.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use crate::api_types::{Accepted, Problem, RawBytes};
use crate::control::Control;
use crate::extract::{Answer, Answered, Path, json, media_type};
use crate::idempotency::key_of;
use crate::problem::{Code, Refused};

/// Post events into a source
///
/// `application/json`: one event, or an array of them; `application/x-ndjson`: one on each line; anything else: the body
/// is one event. All are taken or none. When they are, they are on the host's disk, and outlive it. An `Idempotency-Key` is
/// kept with them: the same events under the same key are taken once, within a day and the source's newest 100 000 keys.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/sources/{source}/events", operation_id = "post_events", tag = "events",
    params(("job" = String, Path, description = "the job's id"), ("source" = String, Path, description = "an `http` source")),
    request_body(content((Value = "application/json"), (String = "application/x-ndjson"), (RawBytes = "application/octet-stream"))),
    responses(
        (status = 202, body = Accepted, description = "all of them are taken, and durable"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job or `http` source"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "more than the source can hold"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "the idempotency key was used for other events"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "no room; see `Retry-After`"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "they could not be made durable"),
    )
)]
pub(super) async fn post(
    State(control): State<Arc<Control>>,
    Path((job, source)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered<Accepted> {
    let events = split(media_type(&headers).as_deref(), &body)?;
    if events.is_empty() {
        return Err(Refused::new(Code::NoEvents, "the body holds no events")
            .hint("send an event as the body, an array of them as JSON, or one on each line as application/x-ndjson"));
    }
    let accepted = events.len();
    let key = key_of(&headers)?.map(str::to_owned);
    control.offer(&job.parse()?, &source, events, key).await?;
    Ok(Answer(StatusCode::ACCEPTED, Accepted { accepted }))
}

/// The events of a body. Lines are not looked into: what is no JSON there is the source's to set aside.
fn split(media_type: Option<&str>, body: &[u8]) -> Result<Vec<Vec<u8>>, Refused> {
    let owned = |event: &str| event.as_bytes().to_vec();
    Ok(match media_type {
        Some("application/json") if body.trim_ascii_start().starts_with(b"[") => {
            json::<Vec<&RawValue>>(body)?.into_iter().map(|event| owned(event.get())).collect()
        }
        Some("application/json") => vec![owned(json::<&RawValue>(body)?.get())],
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => {
            let lines = body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
        }
        Some(_) | None if body.is_empty() => Vec::new(),
        Some(_) | None => vec![body.to_vec()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_event_or_many_by_its_media_type() {
        let split = |media_type, body: &str| {
            let events = split(media_type, body.as_bytes()).expect("a good body");
            events.into_iter().map(|event| String::from_utf8(event).expect("text")).collect::<Vec<_>>()
        };
        let json = Some("application/json");
        assert_eq!(split(json, r#" {"a": [1]} "#), [r#"{"a": [1]}"#]);
        assert_eq!(split(json, r#" [{"a": 1}, 2, "x"]"#), [r#"{"a": 1}"#, "2", r#""x""#]);
        assert_eq!(split(json, "[]"), [""; 0]);
        assert_eq!(split(Some("application/x-ndjson"), "{}\r\n\n{broken\n"), ["{}", "{broken"]);
        assert_eq!(split(Some("text/plain"), "a\nb"), ["a\nb"]);
        assert_eq!(split(None, "[1, 2]"), ["[1, 2]"]);
        assert_eq!(split(None, ""), [""; 0]);
    }

    #[test]
    fn broken_json_is_refused_with_its_place() {
        let refused = split(Some("application/json"), b"{\n  \"a\": }").expect_err("broken");
        assert_eq!((refused.0.status, refused.0.code.as_str()), (400, "malformed-json"));
        assert!(refused.0.detail.contains("line 2 column 8"), "{}", refused.0.detail);
    }
}
