use super::*;
use crate::document::{Decode, SinkKind};

const GOOD: &str = "\
version: 1
job: orders
sources:
  in: {from: {generator: {events: 3}}}
operators:
  pick:
    module: pick@1
    inputs: {in: {from: in}}
sinks:
  out: {inputs: [pick], to: stdout}
";

/// The error that follows when a part of the good document is replaced.
fn error_after(part: &str, by: &str) -> DocumentError {
    assert!(GOOD.contains(part), "{part}");
    let text = GOOD.replacen(part, by, 1);
    JobDocument::parse(&text).expect_err(&text)
}

#[test]
fn what_is_not_as_it_should_be_is_told_with_its_place() {
    JobDocument::parse(GOOD).expect("the good document");
    let rows = [
        // Names.
        ("from: in}", "form: in}", "line 8, column 19: unknown field `form`; did you mean `from`?"),
        ("inputs: [pick]", "input: [pick]", "line 10, column 9: unknown field `input`; did you mean `inputs`?"),
        (
            "job: orders",
            "job: orders\nwindows: {}",
            "line 3, column 1: unknown field `windows`; known here: `version`, `job`, `parallelism`, \
             `max_parallelism`, `batch`, `checkpoint`, `restart`, `sources`, `operators`, `sinks`",
        ),
        (
            "job: orders",
            "job: orders\ncheckpoint: {evry: 1s}",
            "line 3, column 14: unknown field `evry`; did you mean `every`?",
        ),
        (
            "job: orders",
            "job: orders\ncheckpoint: {every: soon}",
            "line 3, column 21: `soon` is not a length of time: write it such as 250ms, 5s or 1m 30s",
        ),
        (
            "job: orders",
            "job: orders\nrestart: fixd",
            "line 3, column 1: `fixd` is not known here; did you mean `fixed`?",
        ),
        (
            "generator: {events: 3}",
            "kafak: {}",
            "line 4, column 15: `kafak` is not known here; known here: `file`, `http`, `generator`, `socket`",
        ),
        ("stdout", "stdou", "line 10, column 25: `stdou` is not known here; did you mean `stdout`?"),
        ("stdout", "{stdout: {encode: cvs}}", "line 10, column 39: `cvs` is not known here; did you mean `csv`?"),
        (
            "{from: in}",
            "{from: in, partition: al}",
            "line 8, column 40: `al` is not known here; known here: `forward`, `rebalance`, `broadcast`",
        ),
        ("job: orders\n", "", "line 1, column 1: the field `job` is missing"),
        ("generator: {events: 3}", "file: {}", "line 4, column 15: sources.in.from.file: the field `path` is missing"),
        // Ids.
        (
            "job: orders",
            "job: My Job",
            "line 2, column 6: `My Job` is not an id: use 1 to 63 characters of a-z, 0-9, `-` and `_`, beginning with a \
             letter or digit",
        ),
        (
            "  out:",
            "  _out:",
            "line 10, column 3: `_out` is not an id: use 1 to 63 characters of a-z, 0-9, `-` and `_`, beginning with a \
             letter or digit",
        ),
        (
            "sinks:\n",
            "sinks:\n  out: {inputs: [pick], to: stdout}\n",
            "line 11, column 3: `out` stands here twice; rename one of the two, or take it out",
        ),
        (
            "pick@1",
            "pick",
            "line 7, column 13: `pick` is not a module: write name@version for an uploaded one, or ./path.wasm for a file",
        ),
        // Types.
        (
            "events: 3",
            "events: three",
            "line 4, column 35: sources.in.from.generator.events: expected a whole number, found `three`",
        ),
        (
            "events: 3",
            "rate: 0",
            "line 4, column 27: sources.in.from.generator.rate: expected a whole number above zero, found `0`",
        ),
        ("version: 1", "version: one", "line 1, column 10: version: expected a whole number, found `one`"),
        ("job: orders", "job:", "line 2, column 4: job: expected a text, found nothing"),
        ("job: orders", "job: [orders]", "line 2, column 6: job: expected a text, found a list"),
        ("[pick]", "pick", "line 10, column 17: sinks.out.inputs: expected a list, found `pick`"),
        (
            "stdout",
            "3",
            "line 10, column 25: sinks.out.to: expected a sink, one of file, postgres, stdout, http, blackhole, found `3`",
        ),
        (
            "{from: in}",
            "{from: in, key_by: {a: 1}}",
            "line 8, column 37: operators.pick.inputs.in.key_by: expected `key` or a JSON path such as $.id, or a list \
             of these, found a map",
        ),
        (
            "{from: in}",
            "{from: in, key_by: []}",
            "line 8, column 37: the list of paths is empty: write at least one, or leave out `key_by`",
        ),
        // Kinds.
        (
            "{generator: {events: 3}}",
            "{generator: {}, http: {}}",
            "line 4, column 14: `generator` and `http` stand side by side: a source is one of them",
        ),
        (
            "{generator: {events: 3}}",
            "{}",
            "line 4, column 14: nothing stands here: name a source, one of file, http, generator, socket",
        ),
        (
            "{generator: {events: 3}}",
            "socket",
            "line 4, column 14: `socket` needs more than its name: write it as {socket: {…}}",
        ),
        // Quantities.
        (
            "job: orders",
            "job: orders\nbatch: {max_bytes: lots}",
            "line 3, column 9: batch.max_bytes: expected a number of bytes such as 4096 or 64MiB, found `lots`",
        ),
        (
            "job: orders",
            "job: orders\nbatch: {max_delay: soon}",
            "line 3, column 20: `soon` is not a length of time: write it such as 250ms, 5s or 1m 30s",
        ),
        (
            "job: orders",
            "job: orders\nmax_parallelism: 100000",
            "line 3, column 18: max_parallelism is 100000, but must be 1 to 32768",
        ),
        // YAML.
        ("sinks:", " sinks:", "line 9, column 2: while parsing a block mapping, did not find expected key"),
        (
            "{from: {generator: {events: 3}}}",
            "{from: http, decode: {csv: {nul: NA}}}",
            "line 4, column 35: unknown field `nul`; did you mean `null`?",
        ),
        (
            "from: in}",
            "null: in}",
            "line 8, column 19: operators.pick.inputs.in.null: expected a text, found null; in YAML a bare null is \
             nothing at all: write it in quotes, \"null\"",
        ),
    ];
    let wrong = rows.into_iter().filter_map(|(part, by, expected)| {
        let told = error_after(part, by).to_string();
        (told != expected).then(|| format!("{part} → {by}\n  told: {told}\n  expected: {expected}\n"))
    });
    assert_eq!(wrong.collect::<String>(), "");
}

#[test]
fn a_text_that_is_no_document_at_all_is_refused() {
    for (text, told) in [
        ("", "line 1, column 1: the document ends too early"),
        ("- a", "line 1, column 1: expected a map, found `- a`"),
        ("{", "line 1, column 1: unclosed bracket '{'"),
    ] {
        assert_eq!(JobDocument::parse(text).expect_err(text).to_string(), told);
    }
    let long = " ".repeat(MAX_DOCUMENT_BYTES + 1);
    let told = JobDocument::parse(&long).expect_err("too long").to_string();
    assert_eq!(told, "line 1, column 1: the document has 4194305 bytes, but at most 4194304 are read");
}

#[test]
fn an_error_shows_its_line_with_a_mark_under_the_column() {
    let snippet = error_after("inputs: [pick]", "input: [pick]").snippet();
    assert_eq!(snippet, "   |\n10 |   out: {input: [pick], to: stdout}\n   |         ^");
}

#[test]
fn anything_may_stand_in_a_text_without_a_panic() {
    for (at, _) in GOOD.char_indices() {
        let _ = JobDocument::parse(&GOOD[..at]);
        for odd in ["\u{feff}", "\t", "é", "\u{0}", ": ", "&a *a ", "!!x "] {
            let text = format!("{}{odd}{}", &GOOD[..at], &GOOD[at..]);
            if let Err(error) = JobDocument::parse(&text) {
                assert!(error.line >= 1 && error.column >= 1 && !error.snippet().is_empty(), "{text}");
            }
        }
    }
}

/// Every field of every kind, each away from its default.
const EVERYTHING: &str = r#"
version: 1
job: everything
parallelism: 2
max_parallelism: 64
batch: {max_rows: 7, max_bytes: 1000001, max_delay: 1500us, channel_bytes: 3MiB}
sources:
  files:
    from: {file: {path: "data/*.csv.gz", replay_speed: 60.5}}
    decode: {csv: {columns: {a: int, b: float}, header: [a, b], delimiter: ";", null: NA}}
    event_time: {path: $.a, unit: iso}
    key: $.b
    parallelism: 3
  posts: {from: {http: {buffer: 1kB}}, decode: csv}
  made: {from: {generator: {seed: 1, events: 2, rate: 3, keys: 4, values: json, bytes: 99, start_time: -5}}, decode: json}
  lines: {from: {socket: {connect: "${env:HOST}:9999", max_line: 2KiB, reconnect: 1m 30s}}}
operators:
  named:
    module: named@1.2.3
    inputs:
      one: {from: files, key_by: key}
      many: {from: [posts, made], key_by: [$.a, "$['b']"]}
    parameters: {country: NO, nothing: null, list: [1, -2.5, true], secret: "${env:SECRET}"}
    parallelism: 4
    limits: {memory: 1GiB, call: 250ms, output: 1MiB, log: 0}
    on_failure: {bad_record: skip, fault: fail-job, transient: {retry: 0, then: dead-letter}, broken_after: 1}
  local: {module: ./local.wasm, inputs: {in: {from: lines, partition: broadcast}}}
sinks:
  lines-out: {inputs: [named.a, local], to: {file: {path: out.jsonl, encode: json-envelope}}, parallelism: 2}
  rows-out: {inputs: [named.b], to: {file: {path: out.csv, encode: {csv: {columns: {k: $key, a: $.a}}}}}}
  screen: {inputs: [local], to: stdout}
  server: {inputs: [local], to: {http: {url: "https://h/", headers: {a: b}, batch: 1, timeout: 1s, retry: 2}}}
  nowhere: {inputs: [local], to: {blackhole: {checksum: false}}}
"#;

#[test]
fn a_document_reads_back_from_its_json() {
    for text in [GOOD, EVERYTHING] {
        let document = JobDocument::parse(text).expect("a good document");
        let json = canonical_json(&document);
        for text in [json.to_string(), serde_json::to_string_pretty(&json).expect("JSON")] {
            assert_eq!(JobDocument::parse(&text).as_ref(), Ok(&document), "{text}");
        }
        assert_eq!(serde_json::from_value::<JobDocument>(json).expect("JSON"), document);
    }
}

#[test]
fn json_is_read_as_json() {
    let text = "{\n\t\"version\": 1, \"job\": \"a\", \"sources\": {},\n\t\"sinks\": {\"o\": {\"inputs\": [], \"to\": {\"file\": {\"path\": \"a\\/\\ud83d\\ude00\\u00e9\\n\"}}}}\n}";
    let document = JobDocument::parse(text).expect("good JSON");
    let SinkKind::File(file) = &document.sinks[0].to else { panic!("{document:?}") };
    assert_eq!(file.path, "a/😀é\n");
    let told = JobDocument::parse(&text.replace("inputs", "input")).expect_err("a wrong field").to_string();
    assert_eq!(told, "line 3, column 18: unknown field `input`; did you mean `inputs`?");
}

#[test]
fn null_is_the_name_of_a_field_in_quotes_and_without() {
    let quoted = EVERYTHING.replace("null: NA", "\"null\": NA");
    assert_ne!(quoted, EVERYTHING);
    assert_eq!(JobDocument::parse(&quoted), JobDocument::parse(EVERYTHING));
    let document = JobDocument::parse(EVERYTHING).expect("a good document");
    let Decode::Csv(csv) = &document.sources[0].decode else { panic!("{document:?}") };
    assert_eq!(csv.null.as_deref(), Some("NA"));
}

#[test]
fn only_true_and_false_are_booleans() {
    let document = JobDocument::parse(EVERYTHING).expect("a good document");
    let parameters = document.operators[0].parameters.as_ref().expect("there are some");
    assert_eq!(parameters["country"], "NO");
    assert_eq!(parameters["list"], serde_json::json!([1, -2.5, true]));
}
