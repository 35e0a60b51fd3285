//! What each role may do, and what is recorded of it.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use gristmill_server::{KnownToken, ServerOptions, openapi};
use serde_json::{Value, json};

use crate::support::{Answer, Host, JOB, WASM};

const TOKENS: &str =
    "vera viewer vera-0123456789abcdef\nolga operator olga-0123456789abcdef\nada admin ada-0123456789abcdef";

async fn guarded() -> Host {
    let tokens = KnownToken::parse(TOKENS).unwrap();
    Host::with(&ServerOptions { tokens, ..ServerOptions::default() }).await
}

async fn ask(host: &Host, who: &str, method: Method, path: &str, body: impl Into<Body>) -> Answer {
    let token = format!("Bearer {who}-0123456789abcdef");
    host.ask(method, path, &[("authorization", &token)], body).await
}

/// Records of the audit log, as who, what and with what status.
async fn recorded(host: &Host) -> Vec<(String, String, Option<u64>)> {
    let page = ask(host, "ada", Method::GET, "/v1/audit", Body::empty()).await.expect(StatusCode::OK);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |record: &Value| {
        let what = format!("{} {}", text(&record["method"]), text(&record["path"]));
        (text(&record["who"]), what, record["outcome"]["status"].as_u64())
    };
    page["records"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn every_route_is_for_the_role_that_its_description_says_and_those_above() {
    let host = guarded().await;
    let described = serde_json::to_value(openapi()).unwrap();
    let roles = [("vera", "viewer"), ("olga", "operator"), ("ada", "admin")];
    for (path, item) in described["paths"].as_object().unwrap() {
        if ["/healthz", "/readyz"].contains(&path.as_str()) {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            let said = operation["description"].as_str().unwrap();
            let needed = roles.iter().position(|(_, role)| said.ends_with(&format!("Needs the role {role}.")));
            let needed = needed.unwrap_or_else(|| panic!("{method} {path} names no role: {said}"));
            let asked = path.split('/').map(|part| if part.starts_with('{') { "nothing" } else { part });
            let asked = asked.collect::<Vec<_>>().join("/");
            let method: Method = method.to_uppercase().parse().unwrap();
            for (index, (who, role)) in roles.iter().enumerate() {
                let answer = ask(&host, who, method.clone(), &asked, Body::empty()).await;
                if index >= needed {
                    assert_ne!(answer.status, StatusCode::FORBIDDEN, "{role} {method} {path}");
                    continue;
                }
                let (problem, needed) = (answer.problem(403, "forbidden"), roles[needed].1);
                let told = format!("you are `{who}` with the role {role}; {method} {path} needs {needed}");
                assert_eq!(problem["detail"], told);
                assert_eq!(problem["hint"], format!("send a token with the role {needed}"));
            }
        }
    }
}

#[tokio::test]
async fn a_change_is_recorded_before_and_after_with_the_hashes_of_its_modules() {
    let host = guarded().await;
    ask(&host, "vera", Method::POST, "/v1/modules", WASM).await.problem(403, "forbidden");
    ask(&host, "olga", Method::POST, "/v1/modules?name=pass@1", WASM).await.expect(StatusCode::CREATED);
    ask(&host, "olga", Method::POST, "/v1/jobs", JOB).await.expect(StatusCode::CREATED);
    ask(&host, "olga", Method::POST, "/v1/jobs/orders/sources/in/events", "{}").await;
    let stopped = ask(&host, "olga", Method::POST, "/v1/jobs/orders/cancel", "").await.expect(StatusCode::ACCEPTED);
    ask(&host, "ada", Method::DELETE, "/v1/jobs/none", "").await.problem(404, "not-found");
    let expected = [
        ("olga", "POST /v1/modules?name=pass@1", 201),
        ("olga", "POST /v1/jobs", 201),
        ("olga", "POST /v1/jobs/orders/cancel", 202),
        ("ada", "DELETE /v1/jobs/none", 404),
    ];
    let both = |(who, what, status): (&str, &str, u64)| {
        [None, Some(status)].map(|status| (who.to_owned(), what.to_owned(), status))
    };
    assert_eq!(recorded(&host).await, expected.into_iter().flat_map(both).collect::<Vec<_>>());

    let page = ask(&host, "ada", Method::GET, "/v1/audit?after=1&limit=5", Body::empty()).await.expect(StatusCode::OK);
    let records = page["records"].as_array().unwrap();
    let numbers: Vec<_> = records.iter().map(|record| record["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6]);
    let hash = blake3::hash(WASM).to_string();
    assert_eq!((&records[0]["role"], &records[0]["body"]), (&json!("operator"), &json!(hash)));
    let outcomes: Vec<_> = [0, 2, 4].map(|index| records[index]["outcome"].clone()).into();
    assert_eq!(
        outcomes,
        [
            json!({"intent": 1, "status": 201, "job": null, "operation": null, "modules": {"module": hash}}),
            json!({"intent": 3, "status": 201, "job": "orders", "operation": null, "modules": {"pass": hash}}),
            json!({"intent": 5, "status": 202, "job": "orders", "operation": stopped["id"], "modules": {}}),
        ]
    );
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_not_made() {
    let host = guarded().await;
    host.catalog.set_trouble(Some("the disk is full"));
    let refused = ask(&host, "olga", Method::POST, "/v1/modules?name=pass@1", WASM).await;
    let detail = refused.problem(503, "not-audited")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("nothing was done") && detail.contains("the disk is full"), "{detail}");
    host.catalog.set_trouble(None);
    let modules = ask(&host, "vera", Method::GET, "/v1/modules", Body::empty()).await.expect(StatusCode::OK);
    assert_eq!(modules, json!({"modules": []}));
    assert_eq!(recorded(&host).await, []);
}

#[tokio::test]
async fn an_answer_from_memory_is_no_change() {
    let host = Host::with_module().await;
    let of = async |host: &Host| host.get("/v1/audit?after=2").await.expect(StatusCode::OK)["records"].clone();
    for _ in 0..2 {
        host.post_once("/v1/jobs", "k1", JOB).await.expect(StatusCode::CREATED);
    }
    let records = of(&host).await;
    assert_eq!(records.as_array().unwrap().len(), 2, "{records:#}");
    assert_eq!((&records[1]["who"], &records[1]["role"]), (&json!("local"), &json!("admin")));
    assert_eq!(records[1]["idempotency_key"], "k1");
}
