//! The description of the API: whole, and such that programs that read OpenAPI can read it.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use gristmill_server::openapi;
use serde_json::Value;

use crate::support::Host;

fn described() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

/// Every operation with its path and method.
fn operations(described: &Value) -> Vec<(String, &Value)> {
    let paths = described["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, _)| {
        let item: &Value = item;
        let named = |(method, operation)| (format!("{method} {path}"), operation);
        item.as_object().unwrap().iter().map(named).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn every_path_is_described() {
    let described = Host::new().await.get("/openapi.json").await.expect(StatusCode::OK);
    let paths: Vec<_> = described["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/readyz",
        "/v1/audit",
        "/v1/jobs",
        "/v1/jobs/{job}",
        "/v1/jobs/{job}/cancel",
        "/v1/jobs/{job}/checkpoints",
        "/v1/jobs/{job}/checkpoints/{checkpoint}",
        "/v1/jobs/{job}/crashes",
        "/v1/jobs/{job}/crashes/{crash}",
        "/v1/jobs/{job}/dead-letters",
        "/v1/jobs/{job}/dead-letters/replay",
        "/v1/jobs/{job}/events",
        "/v1/jobs/{job}/logs",
        "/v1/jobs/{job}/operators/{operator}/canary",
        "/v1/jobs/{job}/operators/{operator}/canary/promote",
        "/v1/jobs/{job}/operators/{operator}/canary/widen",
        "/v1/jobs/{job}/operators/{operator}/shadow",
        "/v1/jobs/{job}/operators/{operator}/shadow/promote",
        "/v1/jobs/{job}/operators/{operator}/state/{state}",
        "/v1/jobs/{job}/operators/{operator}/state/{state}/count",
        "/v1/jobs/{job}/operators/{operator}/states",
        "/v1/jobs/{job}/operators/{operator}/swap",
        "/v1/jobs/{job}/operators/{operator}/swap/rollback",
        "/v1/jobs/{job}/operators/{operator}/tap",
        "/v1/jobs/{job}/pause",
        "/v1/jobs/{job}/rescale",
        "/v1/jobs/{job}/restart",
        "/v1/jobs/{job}/resume",
        "/v1/jobs/{job}/savepoints",
        "/v1/jobs/{job}/savepoints/{savepoint}",
        "/v1/jobs/{job}/savepoints/{savepoint}/verify",
        "/v1/jobs/{job}/sources/{source}/events",
        "/v1/jobs/{job}/stop",
        "/v1/modules",
        "/v1/modules/{module}",
        "/v1/operations",
        "/v1/operations/{operation}",
        "/v1/savepoints",
        "/v1/savepoints/diff",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn every_operation_has_an_id_of_its_own() {
    let described = described();
    let operations = operations(&described);
    let ids: BTreeSet<_> = operations.iter().map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len(), "{ids:?}");
}

#[test]
fn every_answer_is_described_and_any_may_be_a_problem() {
    let described = described();
    for (name, operation) in operations(&described) {
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert_eq!(responses["default"]["$ref"], "#/components/responses/Problem", "{name}");
        for (status, response) in responses.iter().filter(|(status, _)| *status != "default") {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
        }
    }
    let problem = &described["components"]["responses"]["Problem"];
    assert!(problem["content"]["application/problem+json"]["schema"].is_object(), "{problem}");
    assert!(!problem["description"].as_str().unwrap().is_empty());
}

#[test]
fn every_variable_part_of_a_path_is_a_parameter() {
    let described = described();
    for (name, operation) in operations(&described) {
        let variables: BTreeSet<_> =
            name.split('{').skip(1).map(|rest| rest.split_once('}').expect("a closing brace").0).collect();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let declared = parameters.filter(|parameter| parameter["in"] == "path");
        let declared: BTreeSet<_> = declared.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(declared, variables, "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let described = described();
    let text = described.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let place = reference.split('"').next().unwrap();
        assert!(described.pointer(place).is_some_and(Value::is_object), "{place} is not described");
    }
}

#[test]
fn a_body_is_described_as_what_it_is() {
    let described = described();
    let body = |path: &str, media_type: &str| {
        described["paths"][path]["post"]["requestBody"]["content"][media_type]["schema"].clone()
    };
    let events = "/v1/jobs/{job}/sources/{source}/events";
    assert!(body(events, "application/json")["type"].is_null(), "any JSON");
    assert_eq!(body(events, "application/x-ndjson")["type"], "string");
    assert!(body("/v1/jobs", "application/json")["type"].is_null(), "any JSON");
    assert_eq!(body("/v1/modules", "application/wasm")["$ref"], "#/components/schemas/RawBytes");
}
