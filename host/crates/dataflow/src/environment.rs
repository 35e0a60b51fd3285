//! `${env:X}` in a job document: where it stands, and what the host puts in its place.
//!
//! Placeholders stand in the texts of connectors (`sources.*.from`, `sinks.*.to`) and of `parameters`; everywhere else
//! `${env:X}` is text like any other. What stood for what is never part of a message.

use indexmap::IndexMap;
use serde_json::Value;

use crate::document::{Encode, JobDocument, SinkKind};
use crate::parse::canonical_json;
use crate::problem::Problem;

/// How a placeholder begins.
const OPENING: &str = "${env:";

/// The placeholder of a variable, as an author writes it.
#[must_use]
pub fn placeholder(variable: &str) -> String {
    format!("{OPENING}{variable}}}")
}

/// Whether a text has a placeholder in it, so that [`resolve`] puts something else there.
#[must_use]
pub fn has_placeholder(text: &str) -> bool {
    pieces(text).any(|piece| matches!(piece, Piece::Variable(_)))
}

/// The document with the value of each variable in the place of its placeholder. The result holds secrets: hand it to
/// connectors and modules, and to nothing that stores, logs or shows it.
///
/// # Errors
/// Each variable that `lookup` does not know, and each placeholder that is not written as `${env:X}`.
pub fn resolve(document: &JobDocument, lookup: impl Fn(&str) -> Option<String>) -> Result<JobDocument, Vec<Problem>> {
    let mut json = canonical_json(document);
    let mut problems = Vec::new();
    visit(&mut json, &mut |at, text| resolve_text(at, text, &lookup, &mut problems));
    if !problems.is_empty() {
        return Err(problems);
    }
    let resolved = serde_json::from_value(json).expect("a text took the place of a text");
    Ok(in_the_order_of(document, resolved))
}

/// The same for the parameters of one operator, where there is no document around them.
///
/// # Errors
/// As for [`resolve`].
pub fn resolve_parameters(
    mut parameters: Value,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Value, Vec<Problem>> {
    let mut problems = Vec::new();
    visit_texts("parameters", &mut parameters, &mut |at, text| resolve_text(at, text, &lookup, &mut problems));
    if problems.is_empty() { Ok(parameters) } else { Err(problems) }
}

fn resolve_text(at: &str, text: &mut String, lookup: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) {
    if pieces(text).all(|piece| matches!(piece, Piece::Text(_))) {
        return;
    }
    let mut resolved = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(plain) => resolved.push_str(plain),
            Piece::Broken(broken) => problems.push(broken_placeholder(at, broken)),
            Piece::Variable(variable) => match lookup(variable) {
                Some(value) => resolved.push_str(&value),
                None => problems.push(unset(at, variable)),
            },
        }
    }
    *text = resolved;
}

/// JSON gave the fields back sorted: takes from it only what may hold placeholders.
fn in_the_order_of(written: &JobDocument, mut sorted: JobDocument) -> JobDocument {
    let mut resolved = written.clone();
    for (id, source) in &mut resolved.sources {
        if let Some(found) = sorted.sources.swap_remove(id) {
            source.from = found.from;
        }
    }
    for (id, operator) in &mut resolved.operators {
        operator.parameters = sorted.operators.swap_remove(id).and_then(|found| found.parameters);
    }
    for (id, sink) in &mut resolved.sinks {
        if let Some(mut found) = sorted.sinks.swap_remove(id) {
            order_columns(&mut found.to, &sink.to);
            sink.to = found.to;
        }
    }
    resolved
}

/// The columns of a table: their order is what the author means.
fn order_columns(sorted: &mut SinkKind, written: &SinkKind) {
    match (sorted, written) {
        (SinkKind::File(sorted), SinkKind::File(written)) => order_encoded(&mut sorted.encode, &written.encode),
        (SinkKind::Stdout(sorted), SinkKind::Stdout(written)) => order_encoded(&mut sorted.encode, &written.encode),
        (SinkKind::Postgres(sorted), SinkKind::Postgres(written)) => order(&mut sorted.columns, &written.columns),
        (
            SinkKind::File(_)
            | SinkKind::Stdout(_)
            | SinkKind::Postgres(_)
            | SinkKind::Http(_)
            | SinkKind::Blackhole(_),
            _,
        ) => {}
    }
}

fn order_encoded(sorted: &mut Encode, written: &Encode) {
    match (sorted, written) {
        (Encode::Csv(sorted), Encode::Csv(written)) => order(&mut sorted.columns, &written.columns),
        (Encode::Parquet(sorted), Encode::Parquet(written)) => order(&mut sorted.columns, &written.columns),
        (Encode::Csv(_) | Encode::Parquet(_) | Encode::JsonLines | Encode::JsonEnvelope, _) => {}
    }
}

fn order<V>(sorted: &mut IndexMap<String, V>, written: &IndexMap<String, V>) {
    sorted.sort_by(|left, _, right, _| written.get_index_of(left).cmp(&written.get_index_of(right)));
}

/// Placeholders that are not written as `${env:X}`, so that nothing would be put in their place.
pub(crate) fn check(document: &JobDocument, problems: &mut Vec<Problem>) {
    visit(&mut canonical_json(document), &mut |at, text| {
        problems.extend(pieces(text).filter_map(|piece| match piece {
            Piece::Broken(broken) => Some(broken_placeholder(at, broken)),
            Piece::Text(_) | Piece::Variable(_) => None,
        }));
    });
}

fn unset(at: &str, variable: &str) -> Problem {
    Problem::error(at, format!("the environment variable `{variable}` is not set on the host"))
        .hint(format!("start the host with {variable} in its environment"))
}

fn broken_placeholder(at: &str, broken: &str) -> Problem {
    Problem::error(at, format!("`{broken}` is not a placeholder"))
        .hint("write it as ${env:NAME}, the name in letters, digits and `_`".to_owned())
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// `${env:X}`: the X.
    Variable(&'a str),
    /// Begins like a placeholder and is none.
    Broken(&'a str),
}

/// Cuts a text into its pieces.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = match rest.find(OPENING) {
            None => (Piece::Text(rest), ""),
            Some(0) => opened(rest),
            Some(start) => (Piece::Text(&rest[..start]), &rest[start..]),
        };
        rest = after;
        Some(piece)
    })
}

/// The placeholder at the beginning of a text, and what follows.
fn opened(text: &str) -> (Piece<'_>, &str) {
    let Some(end) = text.find('}') else { return (Piece::Broken(text), "") };
    let name = &text[OPENING.len()..end];
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let piece = if is_name { Piece::Variable(name) } else { Piece::Broken(&text[..=end]) };
    (piece, &text[end + 1..])
}

/// Every text of a document that may hold placeholders, with its path.
fn visit(document: &mut Value, with: &mut dyn FnMut(&str, &mut String)) {
    for (section, field) in [("sources", "from"), ("operators", "parameters"), ("sinks", "to")] {
        let Some(nodes) = document.get_mut(section).and_then(Value::as_object_mut) else { continue };
        for (id, node) in nodes {
            if let Some(part) = node.get_mut(field) {
                visit_texts(&format!("{section}.{id}.{field}"), part, with);
            }
        }
    }
}

fn visit_texts(at: &str, value: &mut Value, with: &mut dyn FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => with(at, text),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                visit_texts(&format!("{at}[{index}]"), item, with);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                visit_texts(&format!("{at}.{name}"), field, with);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use gristmill_types::NodeId;

    use super::*;
    use crate::document::{FileSink, StdoutSink};

    const DOCUMENT: &str = "\
version: 1
job: alerts
sources:
  in: {from: {socket: {connect: \"${env:HOST}:${env:PORT}\"}}}
operators:
  pick:
    module: pick@1
    inputs: {in: {from: in}}
    parameters: {tokens: [plain, \"${env:TOKEN}\"]}
sinks:
  out:
    inputs: [pick]
    to: {http: {url: \"https://h/\", headers: {authorization: \"Bearer ${env:TOKEN}\"}}}
";

    fn document(text: &str) -> JobDocument {
        JobDocument::parse(text).expect("a good document")
    }

    #[test]
    fn placeholders_are_found_in_the_texts_of_connectors_and_parameters() {
        let problems = resolve(&document(DOCUMENT), |_| None).expect_err("none is set");
        let mut places: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
        places.sort_unstable();
        let expected = [
            "operators.pick.parameters.tokens[1]",
            "sinks.out.to.http.headers.authorization",
            "sources.in.from.socket.connect",
            "sources.in.from.socket.connect",
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn a_placeholder_is_known_among_other_text() {
        let text = format!("Bearer {}!", placeholder("TOKEN"));
        assert_eq!(text, "Bearer ${env:TOKEN}!");
        assert!(has_placeholder(&text));
        for text in ["", "TOKEN", "${TOKEN}", "${env:}"] {
            assert!(!has_placeholder(text), "{text}");
        }
    }

    #[test]
    fn values_take_the_place_of_placeholders_and_of_nothing_else() {
        let resolved = resolve(&document(DOCUMENT), |name| Some(format!("<{name}>"))).expect("all are set");
        let expected =
            document(&DOCUMENT.replace("${env:HOST}:${env:PORT}", "<HOST>:<PORT>").replace("${env:TOKEN}", "<TOKEN>"));
        assert_eq!(resolved, expected);
    }

    #[test]
    fn a_value_is_not_looked_at_for_placeholders() {
        let resolved = resolve(&document(DOCUMENT), |_| Some("${env:X}".to_owned())).expect("all are set");
        let expected = ["HOST", "PORT", "TOKEN"]
            .iter()
            .fold(DOCUMENT.to_owned(), |text, variable| text.replace(&placeholder(variable), "${env:X}"));
        assert_eq!(resolved, document(&expected));
    }

    #[test]
    fn an_unset_variable_is_named_with_its_place_and_without_the_values_of_others() {
        let lookup = |name: &str| (name != "PORT").then(|| "s3cret".to_owned());
        let problems = resolve(&document(DOCUMENT), lookup).expect_err("PORT is not set");
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "sources.in.from.socket.connect: the environment variable `PORT` is not set on the host; start the host with PORT in its environment"
            ]
        );
    }

    #[test]
    fn a_broken_placeholder_is_not_passed_on_as_text() {
        for broken in ["${env:}", "${env:A B}", "${env:HOST", "${env:9}"] {
            let mut problems = Vec::new();
            check(&document(&DOCUMENT.replace("${env:HOST}", broken).replace("}:${env:PORT}", "}")), &mut problems);
            assert_eq!(problems.len(), 1, "{broken}: {problems:?}");
        }
    }

    #[test]
    fn other_dollars_are_text() {
        for text in ["$", "${X}", "$env:X", "a ${ b }", ""] {
            assert!(pieces(text).all(|piece| matches!(piece, Piece::Text(_))), "{text}");
        }
    }

    #[test]
    fn columns_stay_in_the_order_of_their_author() {
        let text = "version: 1\njob: table\nsources:\n  z: {from: generator}\n  a: {from: generator}\nsinks:\n  out:\n    \
            inputs: [z, a]\n    to: {file: {path: \"${env:DIR}/t.csv\", encode: {csv: {columns: {id: $.id, at: $.at}}}}}\n";
        let resolved = resolve(&document(text), |_| Some("/tmp".to_owned())).expect("resolved");
        let SinkKind::File(file) = &resolved.sinks[0].to else { panic!("not a file: {resolved:?}") };
        let Encode::Csv(csv) = &file.encode else { panic!("not a table: {file:?}") };
        let columns: Vec<_> = csv.columns.keys().map(String::as_str).collect();
        assert_eq!((file.path.as_str(), columns), ("/tmp/t.csv", vec!["id", "at"]));
        assert_eq!(resolved.sources.keys().map(NodeId::as_str).collect::<Vec<_>>(), ["z", "a"]);
    }

    #[test]
    fn every_kind_of_columns_stays_in_order() {
        let columns = |text: &str| format!("{{z: {text}, a: {text}, m: {text}}}");
        let fields = columns("$.x");
        for to in [
            format!("{{postgres: {{url: \"${{env:URL}}\", table: t, columns: {fields}}}}}"),
            format!("{{stdout: {{encode: {{csv: {{columns: {fields}}}}}}}}}"),
            format!(
                "{{file: {{path: \"${{env:URL}}\", encode: {{parquet: {{columns: {}}}}}}}}}",
                columns("{path: $.x, type: bool}")
            ),
        ] {
            let text = format!(
                "version: 1\njob: t\nsources:\n  s: {{from: generator}}\nsinks:\n  o:\n    inputs: [s]\n    to: {to}\n"
            );
            let written = document(&text);
            let resolved = resolve(&written, |_| Some("x".to_owned())).expect("resolved");
            let names = |document: &JobDocument| match &document.sinks[0].to {
                SinkKind::Postgres(sink) => sink.columns.keys().cloned().collect::<Vec<_>>(),
                SinkKind::File(FileSink { encode: Encode::Parquet(table), .. }) => {
                    table.columns.keys().cloned().collect()
                }
                SinkKind::Stdout(StdoutSink { encode: Encode::Csv(table) }) => table.columns.keys().cloned().collect(),
                other => panic!("not a table: {other:?}"),
            };
            assert_eq!(names(&resolved), names(&written), "{to}");
        }
    }
}
