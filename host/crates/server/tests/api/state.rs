//! State over HTTP: looked at key by key, read and counted whole, edited.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Host, KEEPING};

const OPERATOR: &str = "/v1/jobs/keeping/operators/keep";

fn at(state: &str, query: &str) -> String {
    format!("{OPERATOR}/state/{state}?{query}")
}

async fn post(host: &Host, events: &str) {
    let path = "/v1/jobs/keeping/sources/in/events";
    host.post_as(path, "application/x-ndjson", events.to_owned()).await.expect(StatusCode::ACCEPTED);
}

/// A host that keeps these events, once it does.
async fn keeping(events: &str) -> Host {
    let host = Host::that_keeps().await;
    post(&host, events).await;
    let count = events.lines().count();
    let written = async || {
        while host.parts.written.lock().unwrap().len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), written()).await.expect("all events pass");
    host
}

async fn edited(host: &Host, path: &str, body: &Value) -> Value {
    let operation = host.finished(host.put(path, body.to_string()).await).await;
    assert_eq!(
        (&operation["status"], &operation["kind"]),
        (&json!("SUCCEEDED"), &json!("edit-state")),
        "{operation:#}"
    );
    operation["detail"].clone()
}

#[tokio::test]
async fn the_states_of_an_operator_are_listed() {
    let host = keeping("a:x\nb:y").await;
    let list = host.get(&format!("{OPERATOR}/states")).await.expect(StatusCode::OK);
    let view = |name: &str, kind: &str| json!({"name": name, "kind": kind, "version": 1});
    assert_eq!(list["states"], json!([view("last", "value"), view("all", "append-list"), view("seen", "ordered-map")]));
    host.until(&format!("{OPERATOR}/states"), |list| list["keys"] == 2).await;
    host.get("/v1/jobs/keeping/operators/keeper/states").await.problem(404, "not-found");
    host.get("/v1/jobs/nobody/operators/keep/states").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_key_is_looked_at_in_every_kind_of_state() {
    let host = keeping("a:x\na:y\na:z\nb:1").await;
    let last = host.get(&at("last", "key=a")).await.expect(StatusCode::OK);
    assert_eq!((&last["key"], &last["state"]["kind"]), (&json!({"text": "a"}), &json!("value")));
    assert_eq!(last["entries"], json!([{"value": {"bytes": 1, "text": "z", "trouble": "`last` has no words"}}]));
    let same = host.get(&at("last", "key_base64=YQ==")).await.expect(StatusCode::OK);
    assert_eq!(same, last);
    assert_eq!(host.get(&at("last", "key=c")).await.expect(StatusCode::OK)["entries"], json!([]));

    // A list and a map page by page; the list in the module's words.
    let first = host.get(&at("all", "key=a&limit=2")).await.expect(StatusCode::OK);
    let item = |text: &str| json!({"value": {"bytes": 1, "json": {"item": text}}});
    assert_eq!(first["entries"], json!([item("X"), item("Y")]));
    let rest = host.get(&at("all", &format!("key=a&after={}", first["next"].as_str().unwrap()))).await;
    let rest = rest.expect(StatusCode::OK);
    assert_eq!((&rest["entries"], &rest["next"]), (&json!([item("Z")]), &Value::Null));

    let names = |page: &Value| -> Vec<Value> {
        page["entries"].as_array().unwrap().iter().map(|entry| entry["name"]["text"].clone()).collect()
    };
    let first = host.get(&at("seen", "key=a&limit=2")).await.expect(StatusCode::OK);
    assert_eq!(names(&first), ["x", "y"]);
    let rest = host.get(&at("seen", &format!("key=a&after={}", first["next"].as_str().unwrap()))).await;
    assert_eq!(names(&rest.expect(StatusCode::OK)), ["z"]);
}

#[tokio::test]
async fn a_state_is_read_page_by_page_and_counted_as_a_checkpoint_has_it() {
    let host = keeping("a:x\na:y\nb:1\nc:2").await;
    host.get(&at("seen", "")).await.problem(422, "state-refused");
    let count = host.get(&format!("{OPERATOR}/state/seen/count?fresh=true")).await.expect(StatusCode::OK);
    assert_eq!((&count["keys"], &count["entries"], &count["bytes"]), (&json!(3), &json!(4), &json!(11)));
    let (mut seen, mut query) = (Vec::new(), "limit=1".to_owned());
    loop {
        let page = host.get(&at("seen", &query)).await.expect(StatusCode::OK);
        assert_eq!(page["checkpoint"], count["checkpoint"]);
        let entry = &page["entries"][0];
        seen.push(format!("{}.{}", entry["key"]["text"].as_str().unwrap(), entry["name"]["bytes"]));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=1&checkpoint={}&after={next}", count["checkpoint"]);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["a.1", "a.1", "b.1", "c.1"]);
    // What came since is in none of them.
    post(&host, "d:3").await;
    host.until(&at("last", "key=d"), |found| found["entries"] != json!([])).await;
    assert_eq!(host.get(&format!("{OPERATOR}/state/seen/count")).await.expect(StatusCode::OK), count);
    let items = host.get(&at("all", "fresh=true")).await.expect(StatusCode::OK);
    assert_eq!(items["entries"].as_array().unwrap().len(), 5);
    assert!(items["entries"][0]["value"]["json"]["item"].is_string() && items["entries"][0]["item"] == 0, "{items:#}");
}

#[tokio::test]
async fn state_is_edited_and_the_operation_says_when_it_lasts() {
    let host = keeping("a:x\na:y").await;
    let hash = |text: &str| json!(blake3::hash(text.as_bytes()).to_string());
    let base64 = json!({"value_base64": "bmV3"});
    let detail = edited(&host, &at("last", "key=a"), &base64).await;
    assert_eq!((&detail["old"], &detail["new"]), (&hash("y"), &hash("new")));
    assert_eq!(detail["entry"], json!({"operator": "keep", "state": "last", "key": "a"}));
    assert!(detail["checkpoint"].as_u64().unwrap() > detail["after"].as_u64().unwrap());
    let value = |found: Value| found["entries"][0]["value"].clone();
    let last = host.get(&at("last", "key=a")).await.expect(StatusCode::OK);
    assert_eq!(value(last)["text"], "new");

    // In the module's words; all items at once.
    edited(&host, &at("all", "key=a"), &json!({"values": [{"item": "ONE"}, {"item": "TWO"}]})).await;
    let all = host.get(&at("all", "key=a")).await.expect(StatusCode::OK);
    let items: Vec<_> =
        all["entries"].as_array().unwrap().iter().map(|one| one["value"]["json"]["item"].clone()).collect();
    assert_eq!(items, ["ONE", "TWO"]);

    let detail = edited(&host, &at("seen", "key=a&name_base64=eA=="), &base64).await;
    assert_eq!((&detail["old"], &detail["entry"]["name"]), (&hash("1"), &json!("x")));
    let x = host.get(&at("seen", "key=a&name_base64=eA==")).await.expect(StatusCode::OK);
    assert_eq!(value(x)["text"], "new");
    let deleted = host.finished(host.delete(&at("seen", "key=a&name_base64=eA==")).await).await;
    assert_eq!((&deleted["status"], &deleted["detail"]["new"]), (&json!("SUCCEEDED"), &Value::Null));
    assert_eq!(host.get(&at("seen", "key=a")).await.expect(StatusCode::OK)["entries"].as_array().unwrap().len(), 1);
    host.finished(host.delete(&at("all", "key=a")).await).await;
    assert_eq!(host.get(&at("all", "key=a")).await.expect(StatusCode::OK)["entries"], json!([]));
    // The audit log has the hashes of what was there, and of what is.
    let audit = host.get("/v1/audit?limit=1000").await.expect(StatusCode::OK);
    let records = audit["records"].as_array().unwrap();
    let edit = |one: &&Value| one["path"] == at("last", "key=a") && !one["outcome"].is_null();
    let edit = records.iter().find(edit).expect("it is recorded");
    assert_eq!((&edit["method"], &edit["who"]), (&json!("PUT"), &json!("local")));
    assert_eq!(edit["outcome"]["values"], json!({"old": hash("y"), "new": hash("new")}));
    assert_eq!(edit["outcome"]["modules"], json!({}));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let host = keeping("a:x").await;
    let value = json!({"value_base64": "eQ=="}).to_string();
    for (path, body, status, code, says) in [
        (at("last", "key=a"), "{", 400, "malformed-json", "the body"),
        (at("last", "key=a"), "{}", 400, "bad-request", "one of `value`"),
        (at("last", "key=a"), r#"{"value": 1, "values": []}"#, 400, "bad-request", "one of `value`"),
        (at("last", "key=a"), r#"{"valeu": 1}"#, 400, "malformed-json", "unknown field `valeu`"),
        (at("last", "key=a"), r#"{"value_base64": "%"}"#, 400, "bad-request", "`value_base64` is not base64"),
        (at("last", ""), &value, 400, "bad-request", "say whose state it is"),
        (at("last", "key=a&key_base64=YQ=="), &value, 400, "bad-request", "mean the same"),
        (at("last", "key=a&kee=b"), &value, 400, "bad-request", "unknown field `kee`"),
        (at("lost", "key=a"), &value, 404, "not-found", "no state `lost` in job `keeping`"),
        (at("last", "key=a&name_base64=eA=="), &value, 422, "state-refused", "only entries of a map have a `name`"),
        (at("seen", "key=a"), &value, 422, "state-refused", "put under a `name`"),
        (at("all", "key=a"), &value, 422, "state-refused", "all of its items, as `values`"),
        (at("all", "key=a"), r#"{"values": [{"item": 7}]}"#, 422, "state-refused", "an item is"),
        (at("seen", "key=a&name=x"), r#"{"values": []}"#, 400, "bad-request", "an entry of a map has one `value`"),
    ] {
        let problem = host.put(&path, body.to_owned()).await.problem(status, code);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{path} {body}: {problem:#}");
    }
    for (query, status, says) in [
        ("name=x", 400, "looked up with its `key`"),
        ("fresh=true&checkpoint=1", 400, "say one of them"),
        ("key=a&fresh=true", 400, "go without one"),
        ("key=a&after=%25", 400, "`after` is none"),
        ("after=AAAA", 400, "`after` is none"),
        ("limit=some", 400, "limit"),
        ("checkpoint=77", 404, "no checkpoint `77`"),
    ] {
        let answer = host.get(&at("last", query)).await;
        assert_eq!(answer.status.as_u16(), status, "{query}: {answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{query}: {answer:?}");
    }
    assert_eq!(host.get("/v1/operations").await.expect(StatusCode::OK)["operations"].as_array().unwrap().len(), 3);
    let last = host.get(&at("last", "key=a")).await.expect(StatusCode::OK);
    assert_eq!(last["entries"][0]["value"]["text"], "x");
}

#[tokio::test]
async fn a_job_that_is_over_has_no_live_state_but_its_checkpoint_is_read_still() {
    let host = keeping("a:x").await;
    host.finished(host.post("/v1/jobs/keeping/stop", "").await).await;
    host.get(&at("last", "key=a")).await.problem(409, "wrong-state");
    host.put(&at("last", "key=a"), json!({"value_base64": "eQ=="}).to_string()).await.problem(409, "wrong-state");
    host.get(&at("last", "fresh=true")).await.problem(409, "wrong-state");
    let page = host.get(&at("last", "")).await.expect(StatusCode::OK);
    assert_eq!(page["entries"][0]["value"], json!({"bytes": 1, "text": "x"}), "{page:#}");
    assert!(KEEPING.contains("parallelism: 2"), "keys of several subtasks are read together");
}

#[tokio::test]
async fn a_host_that_comes_back_says_what_became_of_an_edit() {
    let host = keeping("a:x").await;
    let detail = edited(&host, &at("last", "key=a"), &json!({"value_base64": "eQ=="})).await;
    let newest = detail["checkpoint"].as_u64().unwrap();
    // As if the host had died before it could write these down.
    for (id, after) in [("op-lasts", Some(newest - 1)), ("op-lost", Some(newest)), ("op-unknown", None)] {
        let detail = after.map_or(json!({}), |after| json!({"after": after}));
        host.catalog.leave_running(id, "edit-state", "keeping", detail);
    }
    let after = host.after().await;
    let told = async |id: &str| after.get(&format!("/v1/operations/{id}")).await.expect(StatusCode::OK);
    let lasts = told("op-lasts").await;
    assert_eq!((&lasts["status"], &lasts["detail"]["checkpoint"]), (&json!("SUCCEEDED"), &json!(newest)));
    for (id, says) in [("op-lost", "it never happened"), ("op-unknown", "look at the state")] {
        let operation = told(id).await;
        assert_eq!(operation["status"], "FAILED");
        assert!(operation["detail"]["message"].as_str().unwrap().contains(says), "{operation:#}");
    }
}

/// It is not the next attempt's checkpoints that say whether it happened.
#[tokio::test]
async fn an_edit_that_a_restart_leaves_behind_is_said_to_have_never_happened() {
    let host = keeping("a:x").await;
    let newest =
        host.finished(host.post("/v1/jobs/keeping/checkpoints", "").await).await["detail"]["checkpoint"].clone();
    host.catalog.leave_running("op-lost", "edit-state", "keeping", json!({"after": newest}));
    let restart = json!({"module": "keep@1", "mode": "restart", "parallelism": 1}).to_string();
    let swapped = host.finished(host.post(&format!("{OPERATOR}/swap"), restart).await).await;
    assert_eq!(swapped["status"], "SUCCEEDED", "{swapped:#}");
    host.finished(host.post("/v1/jobs/keeping/checkpoints", "").await).await;
    let operation = host.get("/v1/operations/op-lost").await.expect(StatusCode::OK);
    assert_eq!(operation["status"], "FAILED");
    assert!(operation["detail"]["message"].as_str().unwrap().contains("it never happened"), "{operation:#}");
}
