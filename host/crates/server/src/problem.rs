//! Every error that leaves the host: `application/problem+json` (RFC 9457) with a code, a sentence and what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gristmill_types::id::IdError;

use crate::api_types::{DocumentProblem, Problem};
use crate::control::ControlError;

/// What can go wrong, as a program tells it apart. A published code keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BadRequest,
    BadName,
    MalformedJson,
    NoEvents,
    Unauthorized,
    ForeignOrigin,
    Forbidden,
    Ambiguous,
    NotFound,
    NoSuchRoute,
    MethodNotAllowed,
    BodyTimeout,
    NameTaken,
    ModuleInUse,
    JobExists,
    SavepointExists,
    SavepointInUse,
    WrongState,
    SwapUnderWay,
    SwapRefused,
    RescaleRefused,
    StateRefused,
    ShadowUnderWay,
    CanaryUnderWay,
    IdempotencyInFlight,
    TooLarge,
    UnsupportedMediaType,
    ModuleRefused,
    BadDocument,
    CannotStart,
    IdempotencyMismatch,
    Backpressure,
    NotDurable,
    NotAudited,
    Busy,
    NotReady,
    Timeout,
    Storage,
    Bug,
}

impl Code {
    /// Status, the code as programs see it, and what is always the same about it.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "the request cannot be understood"),
            Self::BadName => (StatusCode::BAD_REQUEST, "bad-name", "a name in the request is not one"),
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed-json", "the body is not JSON as expected"),
            Self::NoEvents => (StatusCode::BAD_REQUEST, "no-events", "the body holds no events"),
            Self::Ambiguous => (StatusCode::BAD_REQUEST, "ambiguous", "the request means more than one thing"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "a token is needed"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "foreign-origin", "the request comes from a foreign page"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "the token's role is not enough"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "there is no such thing"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route", "the API has no such path"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "the path does not take this method")
            }
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body-timeout", "the body did not arrive in time"),
            Self::NameTaken => (StatusCode::CONFLICT, "name-taken", "the name stands for another module"),
            Self::ModuleInUse => (StatusCode::CONFLICT, "module-in-use", "a job uses the module"),
            Self::JobExists => (StatusCode::CONFLICT, "job-exists", "there is such a job already"),
            Self::SavepointExists => (StatusCode::CONFLICT, "savepoint-exists", "there is such a savepoint already"),
            Self::SavepointInUse => (StatusCode::CONFLICT, "savepoint-in-use", "a job begins from the savepoint"),
            Self::WrongState => (StatusCode::CONFLICT, "wrong-state", "the job is not in a state for this"),
            Self::SwapUnderWay => (StatusCode::CONFLICT, "swap-under-way", "another swap of the job is not over"),
            Self::ShadowUnderWay => (StatusCode::CONFLICT, "shadow-under-way", "a shadow of the job is not over"),
            Self::CanaryUnderWay => (StatusCode::CONFLICT, "canary-under-way", "a canary of the job is not over"),
            Self::SwapRefused => (StatusCode::UNPROCESSABLE_ENTITY, "swap-refused", "the swap cannot be made"),
            Self::RescaleRefused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "rescale-refused", "the job cannot have these subtasks")
            }
            Self::StateRefused => (StatusCode::UNPROCESSABLE_ENTITY, "state-refused", "the state cannot be used so"),
            Self::IdempotencyInFlight => {
                (StatusCode::CONFLICT, "idempotency-in-flight", "the same request is being answered")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "the body is of an unexpected type")
            }
            Self::ModuleRefused => (StatusCode::UNPROCESSABLE_ENTITY, "module-refused", "the module is not admitted"),
            Self::BadDocument => (StatusCode::UNPROCESSABLE_ENTITY, "bad-document", "the job cannot run as written"),
            Self::CannotStart => (StatusCode::UNPROCESSABLE_ENTITY, "cannot-start", "the job could not be started"),
            Self::IdempotencyMismatch => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-mismatch", "the key belongs to another request")
            }
            Self::Backpressure => {
                (StatusCode::TOO_MANY_REQUESTS, "backpressure", "there is no room for more events now")
            }
            Self::NotDurable => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-durable", "the events could not be made durable")
            }
            Self::NotAudited => (StatusCode::SERVICE_UNAVAILABLE, "not-audited", "the change could not be recorded"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "too much is under way"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "the host takes no requests at present"),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", "the answer took too long"),
            Self::Storage => (StatusCode::INTERNAL_SERVER_ERROR, "storage", "the host's own storage failed"),
            Self::Bug => (StatusCode::INTERNAL_SERVER_ERROR, "bug", "the host met a bug"),
        }
    }
}

/// A problem on its way out, small enough to be the error of everything.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Box<Problem>);

impl Refused {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let (status, code, title) = code.parts();
        Self(Box::new(Problem {
            r#type: format!("urn:gristmill:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            hint: None,
            retry_after_ms: None,
            problems: Vec::new(),
        }))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn retry_after_ms(mut self, millis: u64) -> Self {
        self.0.retry_after_ms = Some(millis);
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).expect("made from a status");
        let body = serde_json::to_string(&self.0).expect("texts and numbers are JSON");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(millis) = self.0.retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000).max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<IdError> for Refused {
    fn from(error: IdError) -> Self {
        Self::new(Code::BadName, error.to_string())
    }
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        let code = match &error {
            ControlError::BadName(_) => Code::BadName,
            ControlError::NotFound { .. } | ControlError::NothingLeaves { .. } => Code::NotFound,
            ControlError::Ambiguous { .. } => Code::Ambiguous,
            ControlError::ModuleRefused(_) => Code::ModuleRefused,
            ControlError::NameTaken { .. } => Code::NameTaken,
            ControlError::ModuleInUse { .. } | ControlError::ModuleKept { .. } => Code::ModuleInUse,
            ControlError::BadDocument(_) => Code::BadDocument,
            ControlError::JobExists { .. } => Code::JobExists,
            ControlError::CannotStart { .. } => Code::CannotStart,
            ControlError::SavepointExists { .. } => Code::SavepointExists,
            ControlError::SavepointInUse { .. } => Code::SavepointInUse,
            ControlError::WrongState { .. } => Code::WrongState,
            ControlError::SwapUnderWay(_) => Code::SwapUnderWay,
            ControlError::SwapRefused(_) => Code::SwapRefused,
            ControlError::RescaleRefused(_) => Code::RescaleRefused,
            ControlError::StateRefused(_) => Code::StateRefused,
            ControlError::NoAnswer(_) => Code::Busy,
            ControlError::ShadowUnderWay(_) => Code::ShadowUnderWay,
            ControlError::CanaryUnderWay(_) => Code::CanaryUnderWay,
            ControlError::NoShadow { .. } | ControlError::NoCanary { .. } => Code::NotFound,
            ControlError::Full { .. } | ControlError::LogFull { .. } => Code::Backpressure,
            ControlError::EventsTooLarge { .. } => Code::TooLarge,
            ControlError::KeyReused { .. } => Code::IdempotencyMismatch,
            ControlError::NotDurable { .. } => Code::NotDurable,
            ControlError::Busy(_) => Code::Busy,
            ControlError::Store(_) => Code::Storage,
            ControlError::Bug(_) => Code::Bug,
        };
        let mut refused = Self::new(code, error.to_string());
        let problem = &mut *refused.0;
        problem.hint = error.hint();
        match error {
            ControlError::ModuleRefused(refusal) => {
                problem.problems = refusal.details.into_iter().map(DocumentProblem::of_message).collect();
                problem.code = refusal.code;
            }
            ControlError::BadDocument(found) => {
                problem.problems = found.into_iter().map(DocumentProblem::from).collect();
            }
            ControlError::Full { retry_after_ms, .. } | ControlError::LogFull { retry_after_ms, .. } => {
                problem.retry_after_ms = Some(retry_after_ms);
            }
            ControlError::NotDurable { .. } | ControlError::Busy(_) | ControlError::NoAnswer(_) => {
                problem.retry_after_ms = Some(1000)
            }
            ControlError::Store(error) => tracing::error!(%error, "the catalog failed"),
            ControlError::Bug(what) => tracing::error!(what, "bug: a request failed"),
            ControlError::BadName(_)
            | ControlError::NotFound { .. }
            | ControlError::Ambiguous { .. }
            | ControlError::NothingLeaves { .. }
            | ControlError::NameTaken { .. }
            | ControlError::ModuleInUse { .. }
            | ControlError::ModuleKept { .. }
            | ControlError::JobExists { .. }
            | ControlError::CannotStart { .. }
            | ControlError::SavepointExists { .. }
            | ControlError::SavepointInUse { .. }
            | ControlError::WrongState { .. }
            | ControlError::SwapUnderWay(_)
            | ControlError::SwapRefused(_)
            | ControlError::RescaleRefused(_)
            | ControlError::StateRefused(_)
            | ControlError::ShadowUnderWay(_)
            | ControlError::NoShadow { .. }
            | ControlError::CanaryUnderWay(_)
            | ControlError::NoCanary { .. }
            | ControlError::EventsTooLarge { .. }
            | ControlError::KeyReused { .. } => {}
        }
        refused
    }
}
