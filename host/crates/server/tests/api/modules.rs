//! Modules over HTTP.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;

use crate::support::{Host, JOB, WASM, wasm};

#[tokio::test]
async fn a_module_is_found_by_name_and_by_hash() {
    let host = Host::new();
    let pushed = host.post_as("/v1/modules?name=pass@1", "application/wasm", WASM).await.expect(StatusCode::CREATED);
    assert_eq!(pushed["outcome"], "created");
    assert_eq!(pushed["admission"]["cache"], "miss");
    let hash = pushed["hash"].as_str().unwrap();
    for path in ["/v1/modules/pass@1".to_owned(), format!("/v1/modules/{hash}")] {
        let module = host.get(&path).await.expect(StatusCode::OK);
        assert_eq!((&module["hash"], &module["names"][0]), (&pushed["hash"], &"pass@1".into()));
        assert_eq!(module["admission"]["descriptor"]["inputs"][0]["name"], "in");
    }
    assert_eq!(host.get("/v1/modules").await.json()["modules"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_bytes_again_are_a_cache_hit_and_change_nothing() {
    let host = Host::with_module().await;
    let again = host.post("/v1/modules?name=pass@1", WASM).await.expect(StatusCode::OK);
    assert_eq!((&again["outcome"], &again["admission"]["cache"]), (&"unchanged".into(), &"hit".into()));
    let named = host.post("/v1/modules?name=pass@2", WASM).await.expect(StatusCode::CREATED);
    assert_eq!(named["outcome"], "named");
}

#[tokio::test]
async fn a_dry_run_reports_and_stores_nothing() {
    let host = Host::new();
    let report = host.post("/v1/modules?name=pass@1&dry_run=true", WASM).await.expect(StatusCode::OK);
    assert_eq!((&report["outcome"], &report["admission"]["form"]), (&"dry-run".into(), &"component".into()));
    assert_eq!(host.get("/v1/modules").await.json()["modules"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_refused_module_has_the_code_of_the_registry() {
    let problem = Host::new().post("/v1/modules", "#!/bin/sh").await.problem(422, "not-wasm");
    assert!(problem["detail"].as_str().unwrap().contains("upload the .wasm file"), "{problem}");
}

#[tokio::test]
async fn a_version_is_never_changed_and_nothing_is_compiled_to_find_out() {
    let host = Host::with_module().await;
    let before = host.registry.admitted.load(Ordering::SeqCst);
    let problem = host.post("/v1/modules?name=pass@1", wasm(2)).await.problem(409, "name-taken");
    assert!(problem["hint"].as_str().unwrap().starts_with("a version is never changed"), "{problem}");
    assert_eq!(host.registry.admitted.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_form_carries_a_file_and_a_name() {
    let host = Host::new();
    let form = |parts: &str| format!("{parts}--b--\r\n").replace('\n', "\r\n").replace("\r\r", "\r");
    let file = "--b\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wasm\"\n\n\0asm form\n";
    let name = "--b\nContent-Disposition: form-data; name=\"name\"\n\nformed@1\n";
    let media_type = "multipart/form-data; boundary=b";
    let pushed = host.post_as("/v1/modules", media_type, form(&format!("{name}{file}"))).await;
    assert_eq!(pushed.expect(StatusCode::CREATED)["name"], "formed@1");
    let problem = host.post_as("/v1/modules", media_type, form(name)).await.problem(400, "bad-request");
    assert_eq!(problem["detail"], "the form cannot be read: it has no file");
}

#[tokio::test]
async fn a_module_in_use_stays_and_the_job_is_named() {
    let host = Host::with_job().await;
    let problem = host.delete("/v1/modules/pass@1").await.problem(409, "module-in-use");
    assert_eq!(problem["detail"], "module pass@1 is used by job `orders`, which is RUNNING");
    assert_eq!(problem["hint"], "stop or cancel job `orders` first");

    host.finished(host.post("/v1/jobs/orders/cancel", "").await).await;
    host.delete("/v1/modules/pass@1").await.expect(StatusCode::OK);
    host.get("/v1/modules/pass@1").await.problem(404, "not-found");
}

#[tokio::test]
async fn an_unknown_module_suggests_the_nearest() {
    let host = Host::with_module().await;
    let problem = host.get("/v1/modules/pas@1").await.problem(404, "not-found");
    assert_eq!(problem["hint"], "did you mean `pass@1`?");
    host.get("/v1/modules/no-name").await.problem(400, "bad-name");
    host.post("/v1/modules?name=no-name", WASM).await.problem(400, "bad-name");
    let problem = host.post("/v1/jobs", JOB.replace("pass@1", "pss@1")).await.problem(422, "bad-document");
    assert_eq!(problem["problems"][0]["at"], "operators.pass.module");
    assert_eq!(problem["problems"][0]["hint"], "did you mean `pass@1`?");
}
