//! One reading of JSON paths: what the check of a job document lets pass opens here, and leads to the same place.

use gristmill_dataflow::document::{Encode, KeyBy, SourceSpec};
use gristmill_dataflow::json_path::FixedPath;
use gristmill_ports::source::SourceBatch;
use gristmill_types::EventBatch;
use serde_json::{from_value, json};

use super::decoder::{Arrival, Decoder};
use super::encode::Encoder;
use super::key::key_selector;

/// Paths, each with a value in which it leads to `"here"`.
const PATHS: [(&str, &str); 16] = [
    ("$", r#""here""#),
    ("$.a", r#"{"a":"here"}"#),
    ("$.a.b_c", r#"{"a":{"b_c":"here"}}"#),
    ("$.größe", r#"{"größe":"here"}"#),
    ("$.a[0][2].b", r#"{"a":[[1,2,{"b":"here"}]]}"#),
    ("$ .a [ 1 ]", r#"{"a":[0,"here"]}"#),
    ("$['a b'][\"c.d\"]", r#"{"a b":{"c.d":"here"}}"#),
    ("$[ 'a' ]", r#"{"a":"here"}"#),
    ("$['']", r#"{"":"here"}"#),
    (r"$['it\'s']", r#"{"it's":"here"}"#),
    (r#"$['say "x"']"#, r#"{"say \"x\"":"here"}"#),
    (r#"$["say \"x\""]"#, r#"{"say \"x\"":"here"}"#),
    (r"$['a\u0062']", r#"{"ab":"here"}"#),
    ("$['😀']", r#"{"😀":"here"}"#),
    (r"$['a\\b\/c\n']", r#"{"a\\b/c\n":"here"}"#),
    ("$['*'][\"a[0]\"]", r#"{"*":{"a[0]":"here"}}"#),
];

/// Paths that a check refuses.
const NO_PATHS: [&str; 9] = ["", "a", "$.", "$.a[", "$.a b", "$..a", "$.*", "$['a','b']", "$[-1]"];

fn source(path: &str) -> SourceSpec {
    from_value(json!({"from": {"http": {}}, "decode": "json", "key": path})).expect("a good source")
}

fn table(path: &str) -> Encode {
    from_value(json!({"csv": {"columns": {"column": path}}})).expect("a good encoding")
}

#[test]
fn a_path_that_passes_the_check_opens_and_finds_its_value_for_keys_sources_and_sinks() {
    for (path, value) in PATHS {
        assert!(FixedPath::parse(path).is_ok(), "{path} does not pass the check");
        let mut events = EventBatch::default();
        events.push(0, None, Some(value.as_bytes()));

        let selected = key_selector(&KeyBy::Paths(vec![path.to_owned()])).expect(path).select(&events);
        assert_eq!(selected.keys.get(0), Some(&b"here"[..]), "`key_by: {path}` of {value}");

        let mut batch = SourceBatch::default();
        let arrival = Arrival { value: value.as_bytes(), raw: value.as_bytes(), timestamp: 0, key: None };
        Decoder::new(&source(path)).expect(path).decode(arrival, || "here:1".to_owned(), &mut batch);
        assert_eq!(batch.events.keys().get(0), Some(&b"here"[..]), "`key: {path}` of {value}");

        let mut row = Vec::new();
        Encoder::new(&table(path)).expect(path).encode(&events, &mut row).expect(value);
        assert_eq!(row, b"here\n", "a column of {path} in {value}");
    }
}

#[test]
fn a_path_that_does_not_pass_the_check_is_refused_in_the_words_of_the_check() {
    for path in NO_PATHS {
        let words = FixedPath::parse(path).expect_err(path).to_string();
        let refusals = [
            key_selector(&KeyBy::Paths(vec![path.to_owned()])).err(),
            Decoder::new(&source(path)).err(),
            Encoder::new(&table(path)).err(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.expect(path).message, words);
        }
    }
}
