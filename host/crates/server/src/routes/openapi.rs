//! `/openapi.json`: the API described for machines, made from the handlers themselves.

use std::sync::LazyLock;

use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use utoipa::Modify;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, Ref};

use crate::access::needed;
use crate::api_types::Problem;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Gristmill",
        description = "Stream operators compiled to WebAssembly, uploaded into a running host. Every error is \
            application/problem+json. A POST with an `Idempotency-Key` can be sent again safely.",
    ),
    components(responses(Problem)),
    modifiers(&Token),
    tags(
        (name = "modules", description = "Operators, compiled"),
        (name = "jobs", description = "Dataflows, running or over"),
        (name = "checkpoints", description = "Where jobs go on from"),
        (name = "state", description = "What operators remember, key by key"),
        (name = "savepoints", description = "Cuts of jobs that stand on their own"),
        (name = "events", description = "Events on their way in"),
        (name = "dead letters", description = "Events set aside, with the reason"),
        (name = "crashes", description = "Calls that ended in a fault, to be made again"),
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
    let (_, mut api) = super::documented().split_for_parts();
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            let role = format!("Needs the role {}.", needed(&method, path));
            let described =
                operation.description.take().map_or_else(String::new, |text| format!("{}\n\n", text.trim_end()));
            operation.description = Some(described + &role);
            // Whatever is asked for, the token may be wrong, the body too large, the host on its way out.
            let problem = Ref::from_response_name("Problem").into();
            operation.responses.responses.insert("default".to_owned(), problem);
        }
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// This description
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "describe_api", tag = "host",
    responses((status = 200, body = Value, description = "the API as OpenAPI 3.1"))
)]
pub(super) async fn describe() -> Response {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| openapi().to_pretty_json().expect("a description is made of texts, maps and lists"));
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}
