//! Job documents that cannot run.

use serde_json::{Value, json};

use crate::documents::through;
use crate::guests::{example, odd};
use crate::host::Host;

/// Submits a document that cannot run; gives the one thing that is wrong with it.
fn refused(host: &Host, document: &str) -> Value {
    let (status, problem) = host.try_submit(document);
    assert_eq!((status, &problem["code"]), (422, &"bad-document".into()), "{problem}");
    let problems = problem["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problem}");
    assert_eq!(host.json("/v1/jobs")["jobs"], json!([]), "nothing is left of it");
    host.assert_up();
    problems[0].clone()
}

/// Checks line and column, the words of the sentence, and the words of what to do.
fn says(problem: &Value, place: (u64, u64), message: &str, hint: &str) {
    assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(place.0), Some(place.1)), "{problem}");
    assert!(problem["message"].as_str().unwrap().contains(message), "{problem}");
    assert!(problem["hint"].as_str().unwrap_or_default().contains(hint), "{problem}");
}

#[test]
fn an_unknown_field_is_named_with_its_place_and_the_nearest_known_one() {
    let document = "version: 1\njob: bad\nsources:\n  in:\n    form: {generator: {events: 1}}\nsinks:\n  out: {inputs: [in], to: stdout}\n";
    says(&refused(&Host::start(), document), (5, 5), "unknown field `form`", "did you mean `from`?");
}

#[test]
fn an_id_that_stands_twice_is_named_with_its_place() {
    let document = "version: 1\njob: bad\nsources:\n  in: {from: {generator: {events: 1}}}\n  in: {from: {generator: {events: 2}}}\nsinks:\n  out: {inputs: [in], to: stdout}\n";
    says(&refused(&Host::start(), document), (5, 3), "`in` stands here twice", "rename one of the two");
}

#[test]
fn operators_that_feed_each_other_in_a_ring_are_named() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let document = "version: 1\njob: bad\nsources:\n  in: {from: {generator: {events: 1}}}\noperators:\n\
        \x20 a: {module: echo@1, inputs: {in: {from: [in, b]}}}\n  b: {module: echo@1, inputs: {in: {from: a}}}\n\
        sinks:\n  out: {inputs: [b], to: stdout}\n";
    let (status, problem) = host.try_submit(document);
    assert_eq!(status, 422);
    let ring = &problem["problems"][0];
    assert!(ring["message"].as_str().unwrap().contains("in a ring"), "{problem}");
    assert!(["a → b → a", "b → a → b"].iter().any(|way| ring["message"].as_str().unwrap().contains(way)), "{problem}");
    assert!(
        ring["hint"].as_str().unwrap().contains("take one of these edges out") && ring["line"].is_u64(),
        "{problem}"
    );
    host.assert_up();
}

#[test]
fn a_module_that_was_never_uploaded_is_named_with_the_nearest_or_with_what_to_do() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let document = |module| {
        format!(
            "version: 1\njob: bad\nsources:\n  in: {{from: {{generator: {{events: 1}}}}}}\noperators:\n\
            \x20 it:\n    module: {module}\n    inputs: {{in: {{from: in}}}}\nsinks:\n  out: {{inputs: [it], to: stdout}}\n"
        )
    };
    let near = refused(&host, &document("ehco@1"));
    assert!(near["line"] == 7 && near["message"] == "there is no module `ehco@1`", "{near}");
    assert_eq!(near["hint"], "did you mean `echo@1`?");
    let far = refused(&host, &document("enrich@1.2.0"));
    assert!(far["hint"].as_str().unwrap().contains("gristmill module push FILE --name enrich@1.2.0"), "{far}");
    let path = refused(&host, &document("./echo.wasm"));
    assert!(path["hint"].as_str().unwrap().contains("gristmill module push"), "{path}");
}

#[test]
fn parameters_that_do_not_fit_are_named_by_their_path() {
    let host = Host::start();
    host.push(&odd("slow"), "slow@1");
    let mut document = through("slow@1", "bad", &json!({"generator": {"events": 1}}));
    document["operators"]["it"]["parameters"] = json!({"rounds": "many"});
    let problem = refused(&host, &serde_json::to_string_pretty(&document).unwrap());
    assert_eq!(problem["at"], "operators.it.parameters");
    assert!(
        problem["message"].as_str().unwrap().contains("parameter `/rounds`") && problem["line"].is_u64(),
        "{problem}"
    );
}

#[test]
fn a_stateful_operator_without_a_key_is_told_how_to_get_one() {
    let host = Host::start();
    host.push(&example("word-count"), "count@1");
    let problem = refused(&host, &through("count@1", "bad", &json!({"generator": {"events": 1}})).to_string());
    assert!(problem["hint"].as_str().unwrap().contains("add `key_by`"), "{problem}");
}
