//! The paths of the API. A handler takes a request apart, asks the control, and puts the answer together; nothing more.

mod modules;
mod jobs;
mod checkpoints;
mod swaps;
mod rescale;
mod state;
mod shadows;
mod canaries;
mod savepoints;
mod dead_letters;
mod crashes;
mod events;
mod ingest;
mod operations;
mod audit;
mod health;
mod metrics;
mod openapi;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::{Extension, Router, middleware};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::audit::record;
use crate::auth::{Door, let_in};
use crate::body::{BodyBounds, take_in};
use crate::control::Control;
use crate::guard::{measure, run_to_the_end};
use crate::idempotency::{Idempotency, answer_once};
use crate::options::ServerOptions;
use crate::problem::{Code, Refused};

pub use openapi::openapi;

/// The whole API over one control.
///
/// From the outside in, a request is measured, let in (or not), made a task of its own under a deadline, taken in with
/// its body, answered from memory if its idempotency key has been answered before, and else recorded if it may change
/// something.
pub fn router(control: Arc<Control>, options: &ServerOptions) -> Router {
    let recorder = metrics::recorder();
    let (routes, _) = documented().split_for_parts();
    routes
        .layer(Extension(recorder.handle()))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&control), record))
        .route_layer(middleware::from_fn_with_state(Idempotency::new(Arc::clone(&control)), answer_once))
        .route_layer(middleware::from_fn_with_state(BodyBounds::new(options), take_in))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(no_such_route)
        // `body::take_in` bounds bodies.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(options.request_timeout, run_to_the_end))
        .layer(middleware::from_fn_with_state(Door::new(options), let_in))
        .layer(middleware::from_fn_with_state(recorder, measure))
        .with_state(control)
}

/// All routes with their places in the OpenAPI document.
fn documented() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(modules::push, modules::list))
        .routes(routes!(modules::inspect, modules::delete))
        .routes(routes!(jobs::submit, jobs::list))
        .routes(routes!(jobs::inspect, jobs::delete))
        .routes(routes!(jobs::pause))
        .routes(routes!(jobs::resume))
        .routes(routes!(jobs::stop))
        .routes(routes!(jobs::cancel))
        .routes(routes!(checkpoints::list, checkpoints::make))
        .routes(routes!(checkpoints::inspect))
        .routes(routes!(checkpoints::restart))
        .routes(routes!(swaps::swap))
        .routes(routes!(swaps::roll_back))
        .routes(routes!(rescale::rescale))
        .routes(routes!(state::list))
        .routes(routes!(state::read, state::put, state::delete))
        .routes(routes!(state::count))
        .routes(routes!(shadows::begin, shadows::report, shadows::discard))
        .routes(routes!(shadows::promote))
        .routes(routes!(canaries::begin, canaries::report, canaries::withdraw))
        .routes(routes!(canaries::widen))
        .routes(routes!(canaries::promote))
        .routes(routes!(savepoints::list_all))
        .routes(routes!(savepoints::diff))
        .routes(routes!(savepoints::list, savepoints::take))
        .routes(routes!(savepoints::inspect, savepoints::delete))
        .routes(routes!(savepoints::verify))
        .routes(routes!(dead_letters::page))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(crashes::list))
        .routes(routes!(crashes::fetch, crashes::delete))
        .routes(routes!(events::events))
        .routes(routes!(events::logs))
        .routes(routes!(events::tap))
        .routes(routes!(ingest::post))
        .routes(routes!(operations::list))
        .routes(routes!(operations::inspect))
        .routes(routes!(audit::page))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::scrape))
        .routes(routes!(openapi::describe))
}

async fn no_such_route(uri: Uri) -> Refused {
    Refused::new(Code::NoSuchRoute, format!("the API has no path `{}`", uri.path()))
        .hint("GET /openapi.json lists all paths")
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refused {
    Refused::new(Code::MethodNotAllowed, format!("`{}` does not take {method}", uri.path()))
        .hint("the header `Allow` lists what it takes, GET /openapi.json says more")
}
