//! What comes in, what is refused, and in which words.

use gristmill_ports::module_registry::{CacheUse, ModuleForm, ModuleRegistry};
use gristmill_types::descriptor::{InputSpec, OutputSpec};
use serde_json::json;

use super::fixture::{Registry, open, options};
use super::guest::{Guest, HONEST, Out, Said};

fn honest() -> Vec<u8> {
    saying(&HONEST)
}

fn saying(said: &Said<'_>) -> Vec<u8> {
    let mut guest = Guest::new(said);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    guest.process(&format!("(i32.const {at})")).build()
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a component")
}

/// Checks that the bytes are refused with this code, in a sentence that says these things.
fn assert_refused(bytes: &[u8], code: &str, says: &[&str]) {
    let refusal = Registry::new().admit(bytes).expect_err("it is refused");
    assert_eq!(refusal.code, code, "{refusal}");
    for part in says {
        assert!(refusal.message.contains(part), "{part:?} is not in {refusal}");
    }
}

// Rule 2.
#[test]
fn an_admission_tells_what_the_module_is() {
    let admission = Registry::new().admit(&honest()).expect("it is admitted");
    assert_eq!((admission.form, admission.cache), (ModuleForm::CoreModule, CacheUse::Miss));
    assert_eq!(
        admission.exports,
        ["gristmill:operator/guest@0.1.0", "gristmill:operator/processor@0.1.0"].map(str::to_owned)
    );
    let state = admission.imports.iter().find(|note| note.interface == "gristmill:operator/state@0.1.0");
    assert_eq!(state.expect("a note for each import").given, "the states that it declares");
    assert_eq!(admission.descriptor.inputs, [InputSpec { name: "in".to_owned(), keyed: true }]);
    assert_eq!(admission.descriptor.outputs, [OutputSpec { name: "out".to_owned(), keeps_key: true }]);
    assert_eq!((admission.descriptor.states.len(), &admission.descriptor.metrics[..]), (1, &["seen".to_owned()][..]));
    assert!(admission.warnings.is_empty(), "{:?}", admission.warnings);
}

#[test]
fn the_same_bytes_again_compile_nothing_also_after_a_restart() {
    let (registry, bytes) = (Registry::new(), honest());
    assert_eq!(registry.admit(&bytes).expect("admitted").cache, CacheUse::Miss);
    for again in [registry.admit(&bytes), open(registry.directory.path()).admit(&bytes)] {
        let again = again.expect("admitted");
        assert_eq!((again.cache, again.compile_ms), (CacheUse::Hit, 0));
    }
    assert!(open(registry.directory.path()).prepare(&bytes, &options()).is_ok());
}

#[test]
fn damaged_code_on_disk_is_compiled_anew() {
    let (registry, bytes) = (Registry::new(), honest());
    registry.admit(&bytes).expect("admitted");
    let files: Vec<_> = std::fs::read_dir(registry.directory.path()).expect("listed").flatten().collect();
    assert_eq!(files.len(), 1, "one file a module");
    let path = files[0].path();
    let whole = std::fs::read(&path).expect("read");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() / 2], &whole[..10], b""] {
        std::fs::write(&path, damaged).expect("written");
        let restarted = open(registry.directory.path());
        assert_eq!(restarted.admit(&bytes).expect("admitted").cache, CacheUse::Miss);
        assert_eq!(std::fs::read(&path).expect("read").len(), whole.len(), "and mended");
    }
}

#[test]
fn code_of_another_engine_is_not_loaded_and_goes() {
    let (registry, bytes) = (Registry::new(), honest());
    let hash = registry.admit(&bytes).expect("admitted").hash;
    let file = || {
        let files: Vec<_> = std::fs::read_dir(registry.directory.path()).expect("listed").flatten().collect();
        assert_eq!(files.len(), 1, "one file a module, whatever engine made it");
        files[0].path()
    };
    let ours = file();
    let name = ours.file_name().expect("a name").to_string_lossy().into_owned();
    let tag = name.strip_prefix(&format!("{hash}-")).and_then(|rest| rest.strip_suffix(".cwasm")).expect("a tag");
    assert_eq!(tag.len(), 16, "the engine is part of the name: {name}");
    let theirs = ours.with_file_name(format!("{hash}-0123456789abcdef.cwasm"));
    std::fs::rename(&ours, &theirs).expect("renamed");
    let restarted = open(registry.directory.path());
    assert_eq!(restarted.admit(&bytes).expect("admitted").cache, CacheUse::Miss);
    assert_eq!(file(), ours, "the other engine's file is gone");
}

#[test]
fn what_is_not_wasm_is_told_so() {
    assert_refused(b"", "not-wasm", &["no bytes at all"]);
    assert_refused(b"PK\x03\x04 a zip", "not-wasm", &["begins with \"PK\\x03\\x04"]);
    assert_refused(b" (module)", "not-wasm", &["text format"]);
    let whole = honest();
    for length in [3, 8, 20, whole.len() / 2, whole.len() - 1] {
        let refusal = Registry::new().admit(&whole[..length]).expect_err("it is refused");
        // A module that is only a header is whole, and empty.
        let codes: &[&str] = if length == 8 { &["no-component-types"] } else { &["truncated", "no-component-types"] };
        assert!(codes.contains(&&refusal.code[..]), "{length} bytes: {refusal}");
    }
    assert_refused(&whole[..whole.len() / 2], "truncated", &["upload the whole file"]);
}

#[test]
fn a_core_module_without_component_types_is_told_how_to_get_them() {
    assert_refused(&component("(module)"), "no-component-types", &["wit-bindgen", "wasm-tools component new"]);
}

#[test]
fn a_broken_module_is_refused_and_not_run() {
    assert_refused(&component("(component (core module $m (func (result i32))))"), "missing-interface", &[]);
    let mut broken = honest();
    // The first byte after the header is a section's id.
    broken[8] = 0x7f;
    assert_refused(&broken, "invalid-wasm", &["malformed section id"]);
}

// Rule 1.
#[test]
fn a_missing_interface_is_named() {
    let exporting = |names: &[&str]| {
        let exports: String =
            names.iter().map(|name| format!("(export \"gristmill:operator/{name}\" (instance $i))")).collect();
        component(&format!("(component (instance $i) {exports})"))
    };
    assert_refused(&exporting(&[]), "missing-interface", &["`gristmill:operator/processor@0.1.0`", "exports nothing"]);
    let other = component("(component (instance $i) (export \"shop:till/till\" (instance $i)))");
    assert_refused(&other, "missing-interface", &["this one exports `shop:till/till`"]);
    assert_refused(
        &exporting(&["guest@0.1.0"]),
        "missing-interface",
        &["processor@0.1.0", "nothing that takes events"],
    );
    assert_refused(&exporting(&["processor@0.1.0"]), "missing-interface", &["`gristmill:operator/guest@0.1.0`"]);
    assert_refused(&exporting(&["guest@0.1.0", "event-handler@0.1.0"]), "missing-interface", &["processor@0.1.0"]);
    assert_refused(&exporting(&["guest@0.1.0", "window-function@0.1.0"]), "not-served", &["windows"]);
    assert_refused(&exporting(&["guest@0.1.0", "processor@0.1.0"]), "wrong-types", &["this host's wit/"]);
}

// Rule 4.
#[test]
fn another_version_of_the_contract_is_refused_by_name() {
    // Of 0.1.x the host serves what is no later than its own: a module of a later one may need what is not here.
    for version in ["0.2.0", "0.1.1", "0.1.0-rc.1", "0.1", "1.1.0"] {
        let newer = component(&format!("(component (import \"gristmill:operator/state@{version}\" (instance)))"));
        let imported = format!("imports `gristmill:operator/state@{version}`");
        assert_refused(&newer, "wrong-contract-version", &[&imported, "this host speaks gristmill:operator/*@0.1.0"]);
        let exporting =
            format!("(component (instance $i) (export \"gristmill:operator/guest@{version}\" (instance $i)))");
        let exported = format!("exports `gristmill:operator/guest@{version}`");
        assert_refused(&component(&exporting), "wrong-contract-version", &[&exported]);
    }
}

// Rule 2.
#[test]
fn a_forbidden_import_is_named_before_anything_is_compiled() {
    for (name, says) in [
        ("wasi:http/outgoing-handler@0.2.0", "gives to nobody"),
        ("wasi:cli/environment@0.3.0", "version 0.2"),
        ("acme:bank/transfer@1.0.0", "gives to nobody"),
        ("gristmill:operator/teleport@0.1.0", "does not have"),
    ] {
        assert_refused(
            &component(&format!("(component (import \"{name}\" (instance)))")),
            "forbidden-import",
            &[name, says],
        );
    }
    let timers = component("(component (import \"gristmill:operator/timers@0.1.0\" (instance)))");
    assert_refused(&timers, "not-served", &["timers"]);
    let two = component("(component (import \"a:b/c\" (instance)) (import \"a:b/d\" (instance)))");
    let refusal = Registry::new().admit(&two).expect_err("refused");
    assert_eq!(refusal.details.len(), 2, "all of them are listed");
}

// Rule 21, and what later versions will serve.
#[test]
fn what_this_host_does_not_serve_is_refused_in_words() {
    for (said, says) in [
        (Said { states: &[("shared", 0, 1)], ..HONEST }, "scope broadcast, which is reserved"),
        (Said { states: &[("sums", 3, 0)], ..HONEST }, "accumulator"),
        (Said { timers: &["wake"], ..HONEST }, "declares timer `wake`"),
        (Said { capabilities: &["http"], ..HONEST }, "capability `http`"),
    ] {
        assert_refused(&saying(&said), "not-served", &[says]);
    }
}

// Rule 13, as far as it goes today: no timer can be set, so `on-timer` is never called, and the author is told. What it
// may return is checked once timers are served.
#[test]
fn a_module_that_counts_on_timers_is_refused_or_warned() {
    let importing = component("(component (import \"gristmill:operator/timers@0.1.0\" (instance)))");
    assert_refused(&importing, "not-served", &["`gristmill:operator/timers@0.1.0`", "does not serve timers"]);
    assert_refused(&saying(&Said { timers: &["wake"], ..HONEST }), "not-served", &["declares timer `wake`"]);

    let mut guest = Guest::new(&HONEST);
    let at = guest.image.outcome(&[(0, Out::All)], &[]);
    let exporting = guest.process(&format!("(i32.const {at})")).on_timer("unreachable").build();
    let admission = Registry::new().admit(&exporting).expect("it is admitted");
    assert_eq!(admission.warnings, ["the module exports `timer-handler`, which this version of the host never calls"]);
    assert!(super::fixture::outcome_of(&exporting).is_ok(), "its other exports are called");
}

#[test]
fn a_descriptor_that_cannot_be_is_refused() {
    for (said, says) in [
        (Said { inputs: &[], ..HONEST }, "no input"),
        (Said { inputs: &["a", "a"], ..HONEST }, "two inputs are called `a`"),
        (Said { inputs: &[""], ..HONEST }, "input 0 has an empty name"),
        (Said { outputs: &[("out of it", true)], ..HONEST }, "no blanks"),
        (Said { states: &[("s", 0, 0), ("s", 1, 0)], ..HONEST }, "two states"),
        (Said { metrics: &["m", "m"], ..HONEST }, "two metrics"),
        (Said { states: &[], ..HONEST }, "imports `state`"),
    ] {
        assert_refused(&saying(&said), "bad-descriptor", &[says]);
    }
}

// Rule 24.
#[test]
fn a_schema_that_is_none_is_refused() {
    assert_refused(&saying(&Said { schema: "{", ..HONEST }), "bad-schema", &["JSON Schema 2020-12"]);
    assert_refused(&saying(&Said { schema: r#"{"type": 3}"#, ..HONEST }), "bad-schema", &["/type"]);
}

// Rule 24.
#[test]
fn parameters_are_checked_and_completed_when_a_job_is_prepared() {
    let schema = r#"{"type": "object", "properties": {"least": {"type": "integer", "default": 3}}}"#;
    let (registry, bytes) = (Registry::new(), saying(&Said { schema, ..HONEST }));
    let prepared = registry.modules.prepare(&bytes, &options()).expect("prepared");
    assert_eq!(prepared.parameters, r#"{"least":3}"#);
    let wrong =
        gristmill_ports::module_registry::PrepareOptions { parameters: Some(json!({"least": "x"})), ..options() };
    let refusal = registry.modules.prepare(&bytes, &wrong).err().expect("refused");
    assert_eq!(refusal.code, "bad-parameters");
    assert!(refusal.message.contains("/least") && refusal.message.contains("integer"), "{refusal}");
}

// Rule 2.
#[test]
fn describe_is_held_in_a_sandbox() {
    for (body, says) in [
        ("unreachable", "gave up"),
        ("(loop $l (br $l)) unreachable", "longer than"),
        (
            "(block $b (loop $l (br_if $b (i32.eq (i32.const -1) (memory.grow (i32.const 64)))) (br $l))) unreachable",
            "256 MiB of memory",
        ),
        (
            "(call $get (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0)",
            "only while the guest processes",
        ),
        ("(call $add (i32.const 0) (i64.const 1)) (i32.const 0)", "only while the guest processes"),
        ("(i32.const -8)", "did not answer `describe`"),
    ] {
        assert_refused(&Guest::new(&HONEST).describe(body).process("(i32.const 0)").build(), "bad-descriptor", &[says]);
    }
}

// Rule 2.
#[test]
fn a_descriptor_that_depends_on_chance_or_time_is_refused() {
    let import = r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))"#;
    // Both overwrite the version in the specification of the first state.
    let version = |descriptor: &str| format!("(i32.add (i32.const 12) (i32.load offset=16 {descriptor}))");
    let by_chance = |at: &str| format!("(drop (call $random {} (i32.const 4)))", version(at));
    let by_time = |at: &str| {
        format!(
            "(drop (call $clock (i32.const 0) (i64.const 1) (i32.const 8))) (i32.store {} (i32.load (i32.const 8)))",
            version(at)
        )
    };
    for lie in [&by_chance as &dyn Fn(&str) -> String, &by_time] {
        let guest = Guest::new(&HONEST).importing(import).process("(i32.const 0)");
        let descriptor = guest.descriptor();
        let lying = guest.describe(&format!("{} {descriptor}", lie(&descriptor))).build();
        assert_refused(&lying, "bad-descriptor", &["answered differently in two fresh instances"]);
    }
}

// Rule 2.
#[test]
fn describe_is_asked_in_fresh_instances() {
    let mut guest = Guest::new(&HONEST).process("(i32.const 0)");
    let asked = guest.image.put(&[0; 8]);
    let once = format!(
        "(if (i32.load (i32.const {asked})) (then unreachable)) (i32.store (i32.const {asked}) (i32.const 1)) {}",
        guest.descriptor()
    );
    assert!(Registry::new().admit(&guest.describe(&once).build()).is_ok());
}

// Rule 2.
#[test]
fn an_import_of_state_must_be_declared() {
    assert_refused(&saying(&Said { states: &[], ..HONEST }), "bad-descriptor", &["imports `state`", "declares none"]);
}

// Rule 5.
#[test]
fn a_module_of_one_event_at_a_time_gets_the_descriptor_of_the_contract() {
    let mut guest = Guest::of_events();
    let nothing = guest.image.put(&[0; 16]);
    let bytes = guest.on_event(&format!("(i32.const {nothing})")).build();
    let admission = Registry::new().admit(&bytes).expect("admitted");
    let descriptor = admission.descriptor;
    assert_eq!(descriptor.inputs, [InputSpec { name: "in".to_owned(), keyed: true }]);
    assert_eq!(descriptor.outputs, [OutputSpec { name: "out".to_owned(), keeps_key: false }]);
    assert_eq!((descriptor.states[0].name.as_str(), descriptor.states[0].version), ("state", 1));
    assert_eq!((descriptor.states.len(), descriptor.parameters_schema.as_str()), (1, ""));
}
