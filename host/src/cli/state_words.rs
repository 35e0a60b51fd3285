//! State in words.

use bytesize::ByteSize;
use indicatif::HumanCount;
use serde_json::Value;

use super::job_words::payload;
use super::output::{field, number, table};

pub(super) fn listed(answer: &Value) -> String {
    let row = |one: &Value| ["name", "kind", "version", "ttl_ms"].map(|column| field(one, column)).to_vec();
    let rows: Vec<_> = list(answer, "states").iter().map(row).collect();
    let (keys, bytes) = (HumanCount(number(answer, "keys")), ByteSize(number(answer, "bytes")));
    format!("{keys} keys, {bytes}\n{}", table(&["STATE", "KIND", "VERSION", "TTL MS"], &rows))
}

/// What a key has: of a value that alone, of others a line for each entry.
pub(super) fn found(answer: &Value) -> String {
    let entries = list(answer, "entries");
    let of =
        format!("{}.{} of {}", field(answer, "operator"), field(&answer["state"], "name"), payload(&answer["key"]));
    if entries.is_empty() {
        return format!("{of}: nothing");
    }
    let mut lines: Vec<String> = entries.iter().map(|entry| line(&of, entry)).collect();
    lines.extend(more(answer));
    lines.join("\n")
}

/// A page of a state, a line for each entry.
pub(super) fn scanned(answer: &Value) -> String {
    let mut lines: Vec<String> =
        list(answer, "entries").iter().map(|entry| line(&payload(&entry["key"]), entry)).collect();
    lines.push(format!("checkpoint {}, taken at {}", field(answer, "checkpoint"), field(answer, "taken_at")));
    lines.extend(more(answer));
    lines.join("\n")
}

pub(super) fn counted(answer: &Value) -> String {
    format!(
        "{} keys, {} entries, {}: checkpoint {}, taken at {}",
        HumanCount(number(answer, "keys")),
        HumanCount(number(answer, "entries")),
        ByteSize(number(answer, "bytes")),
        field(answer, "checkpoint"),
        field(answer, "taken_at"),
    )
}

fn line(key: &str, entry: &Value) -> String {
    let mut place = key.to_owned();
    if let Some(item) = entry["item"].as_u64() {
        place.push_str(&format!("[{item}]"));
    }
    if !entry["name"].is_null() {
        place.push_str(&format!("[{}]", stored(&entry["name"])));
    }
    format!("{place}: {}", stored(&entry["value"]))
}

/// Bytes as the host shows them.
fn stored(view: &Value) -> String {
    let trouble = view["trouble"].as_str().map(|why| format!(" ({why})")).unwrap_or_default();
    let shown = match (view.get("json"), view["text"].as_str(), view["base64"].as_str()) {
        (Some(json), _, _) => json.to_string(),
        (None, Some(text), _) => text.to_owned(),
        (None, None, base64) => format!("base64 {}", base64.unwrap_or_default()),
    };
    shown + &trouble
}

fn more(answer: &Value) -> Option<String> {
    answer["next"].as_str().map(|next| format!("there is more: --after {next}"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_told_by_key_and_place() {
        let page = json!({"checkpoint": 4, "taken_at": "T", "next": "abc", "entries": [
            {"key": {"text": "k"}, "value": {"bytes": 1, "json": 7}},
            {"key": {"text": "k"}, "item": 2, "value": {"bytes": 1, "text": "x"}},
            {"key": {"base64": "/w=="}, "name": {"bytes": 1, "json": "n"}, "value": {"bytes": 1, "base64": "/w==", "trouble": "no"}},
        ]});
        let told = scanned(&page);
        let expected = [
            "k: 7",
            "k[2]: x",
            "/w==[\"n\"]: base64 /w== (no)",
            "checkpoint 4, taken at T",
            "there is more: --after abc",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{told}");
        let key = json!({"operator": "op", "state": {"name": "sum"}, "key": {"text": "k"}, "entries": []});
        assert_eq!(found(&key), "op.sum of k: nothing");
    }
}
