//! `/openapi.json`: the API described for machines, made from the handlers themselves.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};

use crate::control::Control;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Gristmill",
        description = "Stream operators compiled to WebAssembly, uploaded into a running host. Every error is \
            application/problem+json. A POST with an `Idempotency-Key` can be sent again safely.",
    ),
    modifiers(&Token),
    tags(
        (name = "modules", description = "Operators, compiled"),
        (name = "jobs", description = "Dataflows, running or over"),
        (name = "events", description = "Events on their way in"),
        (name = "dead letters", description = "Events set aside, with the reason"),
        (name = "operations", description = "Long actions, to be polled"),
        (name = "host", description = "The host itself"),
    )
)]
struct Base;

/// A host that was started with a token asks for it.
struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        api.components.get_or_insert_default().add_security_scheme("token", scheme);
        // The empty alternative is a host at loopback without a token.
        api.security =
            Some(vec![SecurityRequirement::new("token", Vec::<String>::new()), SecurityRequirement::default()]);
    }
}

/// What is said before the paths.
pub(super) fn base() -> OpenApi {
    <Base as utoipa::OpenApi>::openapi()
}

/// The whole description.
#[must_use]
pub fn openapi() -> OpenApi {
    super::documented().split_for_parts().1
}

pub(super) fn router() -> Router<Arc<Control>> {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| openapi().to_pretty_json().expect("a description is made of texts, maps and lists"));
    Router::new()
        .route("/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()) }))
}
