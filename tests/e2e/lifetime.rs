//! A host's beginning and end: who may speak to it, what it leaves behind, what it finds.

use serde_json::Value;

use crate::documents::{copied, often, posted, through};
use crate::guests::odd;
use crate::host::{Host, eventually, gristmill, text};

const TOKEN: &str = "a-token-of-enough-letters";

#[test]
fn a_host_with_a_token_answers_only_to_those_who_know_it() {
    let host = Host::start_with(&["--token", TOKEN]);
    let refused = host.get("/v1/jobs");
    assert_eq!((refused.status().as_u16(), refused.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    let refused: Value = refused.json().unwrap();
    assert_eq!(refused["code"], "unauthorized");
    assert!(refused["hint"].as_str().unwrap().contains("Authorization: Bearer"), "{refused}");
    let wrong = host.client.get(format!("{}/v1/jobs", host.address)).bearer_auth("another-token-of-letters");
    assert_eq!(wrong.send().unwrap().status(), 401);
    let right = host.client.get(format!("{}/v1/jobs", host.address)).bearer_auth(TOKEN);
    assert_eq!(right.send().unwrap().status(), 200);
    assert_eq!(host.get("/healthz").status(), 200, "whoever restarts hosts needs no token");
    assert!(!host.cli(&["job", "list"]).status.success());
    host.cli_ok(&["--token", TOKEN, "job", "list"]);
}

#[test]
fn a_role_bounds_what_a_token_opens_and_the_audit_log_outlives_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let (file, module) = (folder.path().join("tokens"), odd("echo"));
    std::fs::write(&file, "vera viewer vera-0123456789abcdef\nada admin short\n").unwrap();
    let tokens = ["--tokens", file.to_str().unwrap()];
    let data = folder.path().join("data");
    let refused = gristmill().arg("serve").args(tokens).arg("--data-dir").arg(&data).output().unwrap();
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.contains("line 2: the token has 5 bytes"), "{said}");
    assert!(said.contains("others on this machine can read the tokens"), "{said}");

    std::fs::write(&file, "vera viewer vera-0123456789abcdef\nada admin ada-0123456789abcdef\n").unwrap();
    let host = Host::start_with(&tokens);
    let push = ["module", "push", module.to_str().unwrap()];
    let refused = host.cli(&[&["--token", "vera-0123456789abcdef"][..], &push[..]].concat());
    let said = text(&refused.stderr);
    assert!(said.contains("you are `vera` with the role viewer; POST /v1/modules needs operator"), "{said}");
    host.cli_ok(&[&["--token", "ada-0123456789abcdef"][..], &push[..]].concat());

    let host = Host::start_in(host.kill(), &tokens);
    let told = host.cli_ok(&["--token", "ada-0123456789abcdef", "--json", "audit", "--after", "1"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let record = &told["records"][0];
    assert_eq!((record["who"].as_str(), record["outcome"]["status"].as_u64()), (Some("ada"), Some(201)), "{told}");
    let hash = blake3::hash(&std::fs::read(&module).unwrap()).to_string();
    assert_eq!(record["outcome"]["modules"]["module"], hash);
    assert_eq!(host.cli(&["--token", "vera-0123456789abcdef", "audit"]).status.code(), Some(2));
}

#[test]
fn an_address_beyond_loopback_demands_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let refused = gristmill()
        .args(["serve", "--listen", "0.0.0.0:0", "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.contains("without a token") && said.contains("or listen at 127.0.0.1"), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_page_of_another_site_is_not_let_in() {
    let host = Host::start();
    let page = host.client.get(format!("{}/v1/jobs", host.address)).header("origin", "https://evil.example");
    let refused = page.send().unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.json::<Value>().unwrap()["code"].clone()),
        (403, "foreign-origin".into())
    );
}

#[test]
fn a_job_of_a_killed_host_goes_on_when_the_host_is_back() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    host.submit(&often(through("echo@1", "job", &posted())).to_string());
    let lines = |numbers: std::ops::Range<u32>| numbers.map(|number| number.to_string()).collect::<Vec<_>>();
    host.feed("job", &lines(0..500).join("\n"));
    host.wait_until("job", "events_read", 1);
    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    host.feed("job", &lines(500..1000).join("\n"));
    host.stop("job");
    assert_eq!(host.lines("job.out"), lines(0..1000), "what was acknowledged is there, once and in order");
}

#[test]
fn a_host_that_is_asked_to_end_makes_a_last_checkpoint_and_goes_on_from_it() {
    let mut host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let mut document = through("echo@1", "job", &posted());
    document["checkpoint"] = serde_json::json!({"every": "never"});
    host.submit(&document.to_string());
    let events: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    host.feed("job", &events.join("\n"));
    host.wait_until("job", "events_read", 1000);
    assert!(host.terminate().success());
    assert_eq!(host.lines("job.out"), events, "the last checkpoint is committed");
    assert!(host.log().contains("gristmill has shut down"));

    let host = host.kill_and_restart();
    let job = host.wait_for("job", "RUNNING");
    assert_eq!(job["events_read"], 1000, "counters do not jump back");
    host.stop("job");
    assert_eq!(host.lines("job.out"), events);
}

#[test]
fn a_host_that_is_restarted_in_another_directory_goes_on_in_the_folders_of_its_jobs() {
    let host = Host::start();
    host.submit(&often(copied("job", &posted(), &"raw".into())).to_string());
    host.feed("job", "1\n2");
    eventually("the first events are visible", || (host.lines("job.out") == ["1", "2"]).then_some(()));
    host.feed("job", "3\n4");
    let folder = host.kill();
    let elsewhere = tempfile::tempdir().unwrap();
    let host = Host::start_from(elsewhere.path(), folder, &[]);
    host.wait_for("job", "RUNNING");
    host.feed("job", "5");
    host.stop("job");
    assert_eq!(host.lines("job.out"), ["1", "2", "3", "4", "5"]);
    assert_eq!(elsewhere.path().read_dir().unwrap().count(), 0, "nothing is written where the host happens to be");
    // A job that is submitted now belongs to the directory in which the host is now.
    host.submit(&copied("here", &posted(), &"raw".into()).to_string());
    host.feed("here", "1");
    host.stop("here");
    assert_eq!(std::fs::read_to_string(elsewhere.path().join("here.out")).unwrap(), "1\n");
}
