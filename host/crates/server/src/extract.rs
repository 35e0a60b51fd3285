//! Taking requests apart, with problems instead of axum's plain-text refusals.

use axum::extract::FromRequestParts;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::problem::{Code, Refused};

/// The variable parts of a path.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path: Result<axum::extract::Path<T>, PathRejection> =
            axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|rejection| Refused::new(Code::BadRequest, rejection.body_text()))
    }
}

/// The query of a URL. (Not named after axum's: utoipa would take it for that and generate code.)
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Params<T> {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let query: Result<axum::extract::Query<T>, QueryRejection> =
            axum::extract::Query::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|rejection| Refused::new(Code::BadRequest, rejection.body_text()))
    }
}

/// An answer: a status and JSON.
pub(crate) struct Answer<T>(pub(crate) StatusCode, pub(crate) T);

impl<T> Answer<T> {
    pub(crate) fn ok(body: T) -> Self {
        Self(StatusCode::OK, body)
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        (self.0, axum::Json(self.1)).into_response()
    }
}

/// What handlers give.
pub(crate) type Answered<T> = Result<Answer<T>, Refused>;

/// The body as JSON, with line and column of what is wrong with it.
pub(crate) fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::new(Code::MalformedJson, format!("the body: {error}")))
}

/// The media type of the body in lower case, without its parameters; `None` if it is not said.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (media_type, _) = text.split_once(';').unwrap_or((text, ""));
    Some(media_type.trim().to_ascii_lowercase())
}

/// The body has a media type that the path does not take.
pub(crate) fn unsupported(found: &str, taken: &'static str) -> Refused {
    Refused::new(Code::UnsupportedMediaType, format!("the content type `{found}` is not taken here"))
        .hint(format!("send {taken}"))
}
