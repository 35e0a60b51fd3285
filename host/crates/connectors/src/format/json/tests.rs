use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn find(paths: &[&str], json: &str) -> Result<Vec<Option<String>>, String> {
    let mut found = vec![None; paths.len()];
    let places = Places::at(paths).expect("good paths");
    places.find(json.as_bytes(), |number, raw| found[number] = Some(raw.to_owned()))?;
    Ok(found)
}

fn some(raw: &str) -> Option<String> {
    Some(raw.to_owned())
}

#[test]
fn places_are_found_with_their_json_text() {
    let json = r#" {"a": {"b": [1, "zw\u0065i", {"c": null}]}, "d\"": 1.50, "a b": true} "#;
    let paths = ["$.a.b[1]", "$.a.b[2].c", "$['a b']", "$.missing", "$.a.b[7]", "$.a.b.c", "$.a.b[2]"];
    let found = find(&paths, json).expect("good json");
    assert_eq!(found, [some(r#""zw\u0065i""#), some("null"), some("true"), None, None, None, some(r#"{"c": null}"#)]);
    assert_eq!(find(&["$"], "17"), Ok(vec![some("17")]));
}

#[test]
fn a_field_named_by_an_escape_is_found() {
    assert_eq!(find(&["$.key"], r#"{"\u006bey":1}"#), Ok(vec![some("1")]));
}

#[test]
fn of_a_field_that_is_there_twice_the_last_counts() {
    assert_eq!(find(&["$.a"], r#"{"a":1,"a":2}"#), Ok(vec![some("2")]));
}

#[test]
fn text_that_is_not_json_is_refused_wherever_the_error_stands() {
    let table = [
        "",
        " ",
        "{",
        "}",
        "nul",
        "truefalse",
        "{\"a\":1} x",
        "{\"a\":1}}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        "-",
        "+1",
        ".5",
        "1e",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\\u1\",\"",
        "\"\\",
        "\"\t\"",
        "\"\n\"",
        "{\"z\":\"\\u00\",\"a\":1}",
        "[1 2]",
        "NaN",
        "Infinity",
        "{\"a\" 1}",
        "\u{feff}{}",
    ];
    for json in table {
        assert!(find(&["$.a"], json).is_err(), "{json:?} was accepted");
        assert!(find(&[], json).is_err(), "{json:?} was accepted without paths");
    }
    assert!(Places::default().find(b"\"\xff\"", |_, _| ()).is_err(), "broken utf-8 was accepted");
    assert!(Places::default().find(b"{\"a\xc3\":1}", |_, _| ()).is_err(), "broken utf-8 in a name was accepted");
}

#[test]
fn a_reason_is_one_line_with_the_place() {
    let reason = find(&[], "{\"a\":tru}").expect_err("broken");
    assert!(!reason.contains('\n') && reason.contains("line 1 column"), "{reason}");
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(find(&[], &deep(5_000_000)), Ok(vec![]));
    assert!(find(&[], &"[".repeat(5_000_000)).is_err());
    assert_eq!(find(&["$.b"], &format!("{{\"a\":{},\"b\":1}}", deep(5_000_000))), Ok(vec![some("1")]));
    let (opening, path) = ("{\"a\":".repeat(1000), format!("${}", ".a".repeat(1000)));
    assert!(find(&[&path], &opening).is_err(), "a path so long is bounded by the reader");
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15..1e15).prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1,2}|.{0,3}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_field_of_any_name_is_found(name in any::<String>()) {
        let quoted = Value::from(name.as_str()).to_string();
        prop_assert_eq!(find(&[&format!("$[{quoted}]")], &format!("{{{quoted}:1}}")), Ok(vec![some("1")]));
    }

    #[test]
    fn what_serde_json_finds_is_found(value in json()) {
        let text = value.to_string();
        // Read anew: serde_json gives the nearest number or a neighbour of it.
        let value: Value = serde_json::from_str(&text).expect("good json");
        let found = find(&["$.a", "$.a.b", "$.b[1]", "$[0].a"], &text).expect("good json");
        let wanted = [value.pointer("/a"), value.pointer("/a/b"), value.pointer("/b/1"), value.pointer("/0/a")];
        let object = |pointer: Option<&Value>, parent: Option<&Value>, array: bool| {
            parent.filter(|parent| parent.is_array() == array).and(pointer).cloned()
        };
        let wanted = [
            object(wanted[0], Some(&value), false),
            object(wanted[1], wanted[0], false),
            object(wanted[2], value.get("b"), true),
            object(wanted[3], value.get(0), false),
        ];
        let found: Vec<Option<Value>> =
            found.into_iter().map(|raw| raw.map(|raw| serde_json::from_str(&raw).expect("json of a place"))).collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn a_damaged_text_is_judged_as_serde_json_judges_it(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let ignored = std::str::from_utf8(&text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        prop_assert_eq!(Places::default().find(&text, |_, _| ()).is_ok(), ignored, "{}", String::from_utf8_lossy(&text));
    }
}
