use serde_json::json;

use super::*;

const SCHEMA: &str = r##"{
    "type": "object",
    "properties": {
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "default": "EUR"},
        "limits": {"type": "object", "properties": {"max": {"type": "integer", "maximum": 9, "default": 5}}},
        "routes": {"type": "array", "items": {"$ref": "#/$defs/route"}}
    },
    "additionalProperties": false,
    "$defs": {"route": {"type": "object", "properties": {"weight": {"type": "integer", "default": 1}}}}
}"##;

// Rule 24.
#[test]
fn defaults_are_filled_in_also_deep_inside() {
    let schema = Schema::parse(SCHEMA).expect("a sound schema");
    let cases = [
        (None, json!({"currency": "EUR"})),
        (Some(json!(null)), json!({"currency": "EUR"})),
        (
            Some(json!({"limits": {}, "routes": [{}, {"weight": 3}]})),
            json!({"currency": "EUR", "limits": {"max": 5}, "routes": [{"weight": 1}, {"weight": 3}]}),
        ),
    ];
    for (given, expected) in cases {
        let filled = schema.apply(given.as_ref()).expect("fitting parameters");
        assert_eq!(serde_json::from_str::<Value>(&filled).expect("JSON"), expected);
    }
}

// Rule 24.
#[test]
fn parameters_that_do_not_fit_are_told_by_place_and_without_their_value() {
    let schema = Schema::parse(SCHEMA).expect("a sound schema");
    let refusal = schema.apply(Some(&json!({"limits": {"max": 12}, "currency": "s3cret"}))).expect_err("two findings");
    let all = refusal.details.join("; ");
    assert_eq!(refusal.code, BAD_PARAMETERS);
    assert!(all.contains("`/limits/max`") && all.contains("`/currency`"), "{all}");
    assert!(!all.contains("s3cret"), "{all}");
    let unknown = schema.apply(Some(&json!({"curency": "USD"}))).expect_err("an unknown parameter");
    assert!(unknown.message.contains("curency"), "{}", unknown.message);
}

#[test]
fn a_module_without_schema_takes_no_parameters() {
    let none = Schema::parse("").expect("no schema");
    assert_eq!(none.apply(None).as_deref(), Ok("{}"));
    assert_eq!(none.apply(Some(&json!({"a": 1}))).expect_err("too many").code, BAD_PARAMETERS);
}

#[test]
fn a_schema_that_is_none_is_refused() {
    for bad in
        ["{", "3", r#"{"type": "strin"}"#, r#"{"properties": 3}"#, r#"{"pattern": "("}"#, r##"{"$ref": "#/nowhere"}"##]
    {
        let refusal = Schema::parse(bad).err().unwrap_or_else(|| panic!("{bad} was accepted"));
        assert_eq!(refusal.code, BAD_SCHEMA, "{bad}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_comes_to_an_end() {
    let schema = Schema::parse(r##"{"properties": {"next": {"$ref": "#", "default": {}}}}"##).expect("sound");
    assert!(schema.apply(None).expect("it fits").contains("next"));
}

fn misfit(schema: &str, given: &Value) -> Refusal {
    Schema::parse(schema).expect("a sound schema").apply(Some(given)).expect_err("it does not fit")
}

#[test]
fn a_misspelt_parameter_is_told_first_with_what_it_may_have_meant() {
    let filter = r#"{"type": "object", "required": ["offset", "letter"], "additionalProperties": false,
        "properties": {"offset": {"type": "integer"}, "letter": {"type": "string"}}}"#;
    let refusal = misfit(filter, &json!({"offset": 34, "leter": "A"}));
    assert_eq!(
        refusal.details,
        ["unknown parameter `/leter`: did you mean \"letter\"?", "parameters: \"letter\" is a required property"]
    );
    assert!(refusal.message.contains("did you mean \"letter\"?"), "{refusal}");

    let deep = r##"{"properties": {"at": {"$ref": "#/$defs/at"}},
        "$defs": {"at": {"properties": {"letter": {}}, "additionalProperties": false}}}"##;
    let refusal = misfit(deep, &json!({"at": {"leter": 1, "x": 2}}));
    assert_eq!(
        refusal.details,
        [
            "unknown parameter `/at/leter`: did you mean \"letter\"?",
            "unknown parameter `/at/x`: the schema has \"letter\""
        ]
    );
}

#[test]
fn findings_are_listed_up_to_a_bound() {
    let refusal = misfit(r#"{"items": {"type": "string"}}"#, &Value::from_iter(0..1000));
    assert_eq!(refusal.details.len(), 20);
}

/// `k` parts made of one text with their number in it, separated by commas.
fn parts(k: usize, part: &str) -> String {
    (0..k).map(|number| part.replace('N', &number.to_string())).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_schema_that_multiplies_itself_is_refused_before_it_takes_memory_or_time() {
    for k in [2, 3, 4, 30] {
        let fields = parts(k, r##""fN": {"$ref": "#", "default": {}}"##);
        let same = parts(k, r##"{"$ref": "#"}"##);
        let deep = format!("{}{}", r#"{"a": "#.repeat(60), "0".to_owned() + &"}".repeat(60));
        for schema in [
            format!(r#"{{"properties": {{{fields}}}}}"#),
            format!(r#"{{"allOf": [{same}]}}"#),
            format!(r#"{{"anyOf": [{same}]}}"#),
            format!(r#"{{"properties": {{"a": {{"anyOf": [{same}], "default": {deep}}}}}}}"#),
        ] {
            let begun = std::time::Instant::now();
            let refusal = Schema::parse(&schema).and_then(|schema| schema.rehearse()).expect_err("too much work");
            assert_eq!(refusal.code, BAD_SCHEMA, "{schema}");
            assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{schema}");
        }
    }
}

#[test]
fn a_schema_may_not_fill_in_megabytes() {
    let schema = format!(r#"{{"properties": {{"a": {{"default": "{}"}}}}}}"#, "x".repeat((1 << 20) + 1));
    let refusal = Schema::parse(&schema).expect("sound").rehearse().expect_err("too large");
    assert_eq!(refusal.code, BAD_SCHEMA);
}

#[test]
fn many_parameters_are_no_burden_of_the_schema() {
    let route = r##"{"properties": {"routes": {"type": "array", "items": {"$ref": "#/$defs/route"}}},
        "$defs": {"route": {"type": "object", "properties": {"to": {"type": "string"}, "weight": {"default": 1}}}}}"##;
    let routes = Value::from_iter((0..20_000).map(|number| json!({"to": number.to_string()})));
    assert!(Schema::parse(route).expect("sound").apply(Some(&json!({"routes": routes}))).is_ok());
}

#[test]
fn a_reference_to_elsewhere_is_refused() {
    for bad in [
        r#"{"$ref": "https://example.org/schema"}"#,
        r##"{"$defs": {"a": {"$anchor": "a"}}, "$ref": "#a"}"##,
        r##"{"$dynamicRef": "#"}"##,
        r#"{"$defs": {"a": {"$id": "other"}}}"#,
    ] {
        let refusal = Schema::parse(bad).err().unwrap_or_else(|| panic!("{bad} was accepted"));
        assert_eq!(refusal.code, BAD_SCHEMA, "{bad}");
    }
}
