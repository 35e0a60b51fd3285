//! `/healthz` and `/readyz`: for whoever restarts hosts or sends them traffic. No token needed.

use std::sync::Arc;

use axum::extract::State;

use crate::api_types::{Health, Problem};
use crate::control::Control;
use crate::extract::{Answer, Answered};
use crate::problem::{Code, Refused};

/// Whether the host lives
#[utoipa::path(
    get, path = "/healthz", operation_id = "is_alive", tag = "host", security(()),
    responses((status = 200, body = Health, description = "it lives"))
)]
pub(super) async fn healthz() -> Answer<Health> {
    Answer::ok(well())
}

/// Whether the host is ready: restored, able to write down what it is told, and not on its way out
#[utoipa::path(
    get, path = "/readyz", operation_id = "is_ready", tag = "host", security(()),
    responses(
        (status = 200, body = Health, description = "it is ready"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "it is starting or ending, or its catalog cannot be written"),
    )
)]
pub(super) async fn readyz(State(control): State<Arc<Control>>) -> Answered<Health> {
    if !control.is_ready() {
        return Err(Refused::new(Code::NotReady, "the host is starting or ending").retry_after_ms(1000));
    }
    match control.heal().await {
        Ok(()) => Ok(Answer::ok(well())),
        Err(error) => Err(Refused::new(Code::NotReady, error.to_string()).retry_after_ms(1000)),
    }
}

fn well() -> Health {
    Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}
