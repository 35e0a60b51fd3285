//! Modules: uploaded, looked at, named, deleted, and never compiled twice.

use serde_json::Value;

use crate::documents::{posted, through};
use crate::guests::{example, odd};
use crate::host::Host;

fn names(host: &Host) -> Vec<String> {
    let listed = host.json("/v1/modules");
    let names = listed["modules"].as_array().unwrap().iter().flat_map(|module| module["names"].as_array().unwrap());
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// A form as a browser sends it: a field `name` and a file.
fn form(name: &str, file: &[u8]) -> Vec<u8> {
    let head = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n{name}\r\n--edge\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"it.wasm\"\r\nContent-Type: application/wasm\r\n\r\n"
    );
    [head.as_bytes(), file, b"\r\n--edge--\r\n"].concat()
}

#[test]
fn a_module_comes_raw_or_as_a_form_and_is_then_listed_and_described() {
    let host = Host::start();
    let raw = host.push(&odd("count"), "count@1");
    assert_eq!((&raw["outcome"], &raw["admission"]["cache"]), (&"created".into(), &"miss".into()));

    let upload = host.post("/v1/modules").header("content-type", "multipart/form-data; boundary=edge");
    let upload = upload.body(form("echo@1", &std::fs::read(odd("echo")).unwrap())).send().unwrap();
    assert_eq!(upload.status(), 201);
    assert_eq!(upload.json::<Value>().unwrap()["name"], "echo@1");

    let mut listed = names(&host);
    listed.sort();
    assert_eq!(listed, ["count@1", "echo@1"]);
    let count = host.json("/v1/modules/count@1");
    assert_eq!(count["hash"], raw["hash"]);
    let descriptor = &count["admission"]["descriptor"];
    assert_eq!(descriptor["inputs"][0]["keyed"], true);
    assert_eq!(descriptor["states"].as_array().unwrap().len(), 1);
    assert_eq!(host.json(&format!("/v1/modules/{}", raw["hash"].as_str().unwrap()))["names"][0], "count@1");
}

#[test]
fn a_dry_run_says_what_would_be_and_keeps_nothing() {
    let host = Host::start();
    let push = host.post("/v1/modules?name=echo@1&dry_run=true").body(std::fs::read(odd("echo")).unwrap());
    let answer = push.send().unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().unwrap();
    assert_eq!((&answer["outcome"], &answer["admission"]["form"]), (&"dry-run".into(), &"core-module".into()));
    assert!(names(&host).is_empty());
    assert_eq!(host.get("/v1/modules/echo@1").status(), 404);
}

#[test]
fn a_name_never_comes_to_stand_for_other_bytes() {
    let host = Host::start();
    let echo = host.push(&odd("echo"), "it@1");
    let refused = host.post("/v1/modules?name=it@1").body(std::fs::read(odd("select")).unwrap()).send().unwrap();
    assert_eq!(refused.status(), 409);
    let refused: Value = refused.json().unwrap();
    assert_eq!(refused["code"], "name-taken");
    assert!(refused["hint"].as_str().unwrap().contains("upload these bytes under another one"), "{refused}");
    assert_eq!(host.json("/v1/modules/it@1")["hash"], echo["hash"]);
    assert_eq!(host.push(&odd("echo"), "it@1")["outcome"], "unchanged");
    assert_eq!(host.push(&odd("echo"), "it@2")["outcome"], "named");
}

#[test]
fn a_module_in_use_stays_until_its_job_is_over() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    host.submit(&through("echo@1", "user", &posted()).to_string());
    host.wait_for("user", "RUNNING");
    let refused = host.delete("/v1/modules/echo@1");
    assert_eq!(refused.status(), 409);
    let refused: Value = refused.json().unwrap();
    assert_eq!(
        (&refused["code"], &refused["hint"]),
        (&"module-in-use".into(), &"stop or cancel job `user` first".into())
    );

    host.stop("user");
    assert_eq!(host.delete("/v1/modules/echo@1").status(), 200);
    assert_eq!(host.get("/v1/modules/echo@1").status(), 404);
    assert!(names(&host).is_empty());
}

#[test]
fn the_command_line_says_what_a_deletion_forgot() {
    let host = Host::start();
    let hash = host.push(&odd("echo"), "echo@1")["hash"].as_str().unwrap().to_owned();
    host.push(&odd("echo"), "same@1");
    let short = &hash[..12];
    let said = host.cli_ok(&["module", "delete", "echo@1"]);
    assert_eq!(said.trim_end(), format!("echo@1 is forgotten; module {short} is still known as same@1"));
    assert_eq!(names(&host), ["same@1"]);
    // As `module list` shows it.
    let said = host.cli_ok(&["module", "delete", short]);
    assert_eq!(said.trim_end(), format!("module {short} is forgotten, and with it the name same@1"));
    assert!(names(&host).is_empty());
}

#[test]
fn after_a_restart_the_catalog_is_there_and_the_same_bytes_compile_nothing() {
    let host = Host::start();
    let first = host.push(&odd("echo"), "echo@1");
    assert_eq!(first["admission"]["cache"], "miss");
    assert!(first["admission"]["compile_ms"].as_u64().unwrap() > 0);

    let host = host.kill_and_restart();
    assert_eq!(names(&host), ["echo@1"]);
    let again = host.push(&odd("echo"), "echo@1");
    assert_eq!(again["outcome"], "unchanged");
    assert_eq!((&again["admission"]["cache"], &again["admission"]["compile_ms"]), (&"hit".into(), &0.into()));
}

#[test]
fn components_core_modules_and_wasip1_modules_are_admitted() {
    let host = Host::start();
    let core = std::fs::read(odd("echo")).unwrap();
    let component = wit_component::ComponentEncoder::default().validate(true).module(&core).unwrap().encode().unwrap();
    let from_c = |name| std::fs::read(example(name)).unwrap();
    let table = [
        ("core@1", core, "core-module"),
        ("component@1", component, "component"),
        ("c-filter@1", from_c("c-filter"), "core-module"),
        ("c-event-operator@1", from_c("c-event-operator"), "wasip1-module"),
    ];
    for (name, bytes, form) in table {
        let answer = host.post(&format!("/v1/modules?name={name}")).body(bytes).send().unwrap();
        assert_eq!(answer.status(), 201, "{name}");
        assert_eq!(answer.json::<Value>().unwrap()["admission"]["form"], form, "{name}");
    }
}
