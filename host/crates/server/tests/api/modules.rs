//! Modules over HTTP.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use gristmill_ports::catalog::Catalog;
use gristmill_ports::module_registry::Admission;
use gristmill_types::ModuleHash;
use serde_json::json;

use crate::support::{Host, JOB, WASM, wasm};

#[tokio::test]
async fn a_module_is_found_by_name_and_by_hash() {
    let host = Host::new().await;
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
    let host = Host::new().await;
    let report = host.post("/v1/modules?name=pass@1&dry_run=true", WASM).await.expect(StatusCode::OK);
    assert_eq!((&report["outcome"], &report["admission"]["form"]), (&"dry-run".into(), &"component".into()));
    assert_eq!(host.get("/v1/modules").await.json()["modules"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_refused_module_has_the_code_of_the_registry() {
    let problem = Host::new().await.post("/v1/modules", "#!/bin/sh").await.problem(422, "not-wasm");
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
    let host = Host::new().await;
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
async fn a_name_is_forgotten_alone_and_the_module_with_its_last_name() {
    let host = Host::with_module().await;
    host.post("/v1/modules?name=same@1", WASM).await.expect(StatusCode::CREATED);
    let hash = host.get("/v1/modules/pass@1").await.json()["hash"].clone();

    let first = host.delete("/v1/modules/pass@1").await.expect(StatusCode::OK);
    assert_eq!(
        first,
        json!({
            "hash": hash, "forgotten_names": ["pass@1"], "kept_names": ["same@1"], "module_forgotten": false,
        })
    );
    assert_eq!(host.get("/v1/modules/same@1").await.json()["names"], json!(["same@1"]));
    host.get("/v1/modules/pass@1").await.problem(404, "not-found");

    let last = host.delete("/v1/modules/same@1").await.expect(StatusCode::OK);
    assert_eq!((&last["forgotten_names"], &last["module_forgotten"]), (&json!(["same@1"]), &json!(true)));
    assert_eq!(host.get("/v1/modules").await.json()["modules"], json!([]));
}

#[tokio::test]
async fn a_module_deleted_by_its_hash_goes_with_all_its_names() {
    let host = Host::with_module().await;
    let named = host.post("/v1/modules?name=same@1", WASM).await.expect(StatusCode::CREATED);
    let gone = host.delete(&format!("/v1/modules/{}", named["hash"].as_str().unwrap())).await.expect(StatusCode::OK);
    assert_eq!((&gone["forgotten_names"], &gone["kept_names"]), (&json!(["pass@1", "same@1"]), &json!([])));
    assert_eq!(host.get("/v1/modules").await.json()["modules"], json!([]));
}

#[tokio::test]
async fn a_spare_name_of_a_module_in_use_can_be_forgotten() {
    let host = Host::with_job().await;
    host.post("/v1/modules?name=same@1", WASM).await.expect(StatusCode::CREATED);
    host.delete("/v1/modules/same@1").await.expect(StatusCode::OK);
    host.delete("/v1/modules/pass@1").await.problem(409, "module-in-use");
}

#[tokio::test]
async fn a_module_without_a_name_is_found_by_the_first_digits_of_its_hash() {
    let host = Host::new().await;
    let pushed = host.post("/v1/modules", WASM).await.expect(StatusCode::CREATED);
    let hash = pushed["hash"].as_str().unwrap();
    for digits in [&hash[..6], &hash[..12], &hash[..6].to_uppercase()] {
        assert_eq!(host.get(&format!("/v1/modules/{digits}")).await.expect(StatusCode::OK)["hash"], hash);
    }
    host.get(&format!("/v1/modules/{}", &hash[..5])).await.problem(400, "bad-name");
    host.get("/v1/modules/000000").await.problem(404, "not-found");
    let gone = host.delete(&format!("/v1/modules/{}", &hash[..6])).await.expect(StatusCode::OK);
    assert_eq!(gone["module_forgotten"], true);
}

#[tokio::test]
async fn digits_that_several_hashes_begin_with_are_refused_with_both() {
    let host = Host::new().await;
    let hashes = [1, 2].map(|last| ModuleHash([[0xab; 31].as_slice(), &[last]].concat().try_into().unwrap()));
    let pushed = host.post("/v1/modules?dry_run=true", WASM).await.expect(StatusCode::OK);
    for hash in hashes {
        let admission: Admission = serde_json::from_value(pushed["admission"].clone()).unwrap();
        host.catalog.put_module(None, WASM, &Admission { hash, ..admission }).unwrap();
    }
    let problem = host.delete("/v1/modules/ababab").await.problem(400, "ambiguous");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("2 modules begin with `ababab`: ") && detail.contains(&hashes[0].to_string()),
        "{detail}"
    );
    assert_eq!(problem["hint"], "write more digits of the hash");
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
