//! `gristmill replay BUNDLE`: makes a call that ended in a fault once more, without a host.

use std::process::ExitCode;

use serde_json::Value;

use super::job_words::payload;
use super::output::{Output, field, number};
use crate::replay::{ReplayOptions, exit_code, replay, told};
use crate::words::{self, counted};

pub(crate) async fn perform(options: ReplayOptions, out: &Output) -> anyhow::Result<ExitCode> {
    let replayed = tokio::task::spawn_blocking(move || replay(&options)).await??;
    out.result(&told(&replayed), in_words)?;
    Ok(exit_code(&replayed))
}

fn in_words(told: &Value) -> String {
    let mut lines = vec![format!(
        "{}: {} of operator {} of job {}, subtask {}, at {}: {}",
        field(told, "bundle"),
        counted(number(told, "count"), "event"),
        field(told, "operator"),
        field(told, "job"),
        field(told, "subtask"),
        field(told, "at"),
        fault(&told["fault"]),
    )];
    if told["replayed_with"] != told["module"] {
        let (other, module) = (field(told, "replayed_with"), field(told, "module"));
        lines.push(format!("with module {other} in the place of {module}"));
    }
    lines.extend(events(&told["events"], number(told, "count")));
    lines.push(format!("  {} of state", words::entries(number(told, "entries"))));
    lines.extend(list(told, "notes").iter().map(|note| format!("note: {}", note.as_str().unwrap_or_default())));
    lines.extend(list(told, "log").iter().map(|line| format!("{}: {}", field(line, "level"), field(line, "message"))));
    lines.extend(ending(&told["ending"]));
    lines.join("\n")
}

fn fault(fault: &Value) -> String {
    format!("{}: {}", field(fault, "kind"), field(fault, "message"))
}

fn ending(ending: &Value) -> Vec<String> {
    let backtrace =
        || list(ending, "backtrace").iter().map(|frame| format!("  {}", frame.as_str().unwrap_or_default()));
    match field(ending, "how").as_str() {
        "passes" => {
            let mut lines = vec!["it does not fail any more".to_owned()];
            for emission in list(ending, "emissions") {
                let count = number(emission, "count");
                lines.push(format!("out of {}: {}", field(emission, "port"), counted(count, "event")));
                lines.extend(events(&emission["events"], count));
            }
            let refused = |one: &Value| format!("event {} is refused: {}", field(one, "row"), field(one, "reason"));
            lines.extend(list(ending, "rejections").iter().map(refused));
            lines
        }
        how => {
            let same = how == "fails-as-before";
            let other = same && ending["same_backtrace"].as_bool() == Some(false);
            let how = if same { "it fails as before" } else { "it fails otherwise" };
            let place = if other { ", from another place" } else { "" };
            let mut lines = vec![format!("{how}{place}: {}", field(ending, "message"))];
            lines.extend(backtrace());
            lines
        }
    }
}

fn events(shown: &Value, count: u64) -> Vec<String> {
    let shown = shown.as_array().map_or(&[][..], Vec::as_slice);
    let event = |event: &Value| {
        format!("  {} {} {}", field(event, "timestamp"), payload(&event["key"]), payload(&event["value"]))
    };
    let mut lines: Vec<String> = shown.iter().map(event).collect();
    if (shown.len() as u64) < count {
        lines.push(format!("  and {} more", count - shown.len() as u64));
    }
    lines
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(ending: &Value) -> Value {
        json!({
            "bundle": "parse-00c0ffee00c0ffee", "job": "orders", "operator": "parse", "subtask": 1, "at": "T", "module": "ab",
            "replayed_with": "ab", "fault": {"kind": "trap", "message": "it gave up"}, "count": 2, "entries": 1,
            "events": [{"timestamp": 3, "key": {"text": "k"}, "value": {"text": "v"}}], "notes": ["the rest"],
            "log": [{"level": "warn", "message": "hm"}], "ending": ending,
        })
    }

    #[test]
    fn a_call_that_fails_again_is_told_with_its_backtrace() {
        let ending = json!({"how": "fails-as-before", "message": "trap: it gave up", "backtrace": ["parse at parse.rs:3"],
                            "same_backtrace": true});
        let told = in_words(&call(&ending));
        let expected = [
            "parse-00c0ffee00c0ffee: 2 events of operator parse of job orders, subtask 1, at T: trap: it gave up",
            "  3 k v",
            "  and 1 more",
            "  1 entry of state",
            "note: the rest",
            "warn: hm",
            "it fails as before: trap: it gave up",
            "  parse at parse.rs:3",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{told}");
    }

    #[test]
    fn a_call_that_passes_is_told_with_what_it_gives() {
        let out = json!({"port": "out", "count": 1, "events": [{"timestamp": 3, "key": null, "value": {"text": "w"}}]});
        let ending = json!({"how": "passes", "emissions": [out], "rejections": [{"row": 1, "reason": "empty"}]});
        let mut of_other = call(&ending);
        of_other["replayed_with"] = "cd".into();
        let told = in_words(&of_other);
        assert!(told.contains("with module cd in the place of ab"), "{told}");
        assert!(
            told.ends_with("it does not fail any more\nout of out: 1 event\n  3 - w\nevent 1 is refused: empty"),
            "{told}"
        );
    }
}
