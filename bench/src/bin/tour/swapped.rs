//! Other versions take the operator over: one with the same state, one with another, and one that traps.

use serde_json::Value;

use crate::guide::{Guide, must, times};
use crate::modules;

const SWAP: [&str; 4] = ["operator", "swap", "words", "count"];

pub(crate) fn swap(guide: &mut Guide) -> anyhow::Result<()> {
    modules::push(guide, "word-count-json", "word-count@1.1.0")?;
    let swap = [&SWAP[..], &["word-count@1.1.0", "--probation", "0s", "--wait"]].concat();
    let words = |guide: &mut Guide| guide.post_without_waiting(&times(10, "to"));
    guide.run_beside(&swap, words, 0, &["swap SUCCEEDED: done"])?;
    guide.post(&times(10, "to"))?;
    let last = guide.last_row()?;
    must(last == r#"{"word":"to","count":1520}"#, "the new version counts on from the old one, in JSON", &last)
}

pub(crate) fn migrate(guide: &mut Guide) -> anyhow::Result<()> {
    modules::push(guide, "word-count-v2", "word-count@2.0.0")?;
    let module = ["word-count@2.0.0", "--wait"];
    guide.run(&[&SWAP[..], &module, &["--mode", "dry-run"]].concat(), &["swap SUCCEEDED, 3 keys of state"])?;
    // A second of probation, in which the background goes through all keys.
    let swap = [&SWAP[..], &module, &["--probation", "1s", "--probation-events", "0"]].concat();
    guide.run(&swap, &["swap SUCCEEDED: done", "3 keys of state rewritten"])?;
    guide.post(&times(2, "to"))?;
    let last = guide.last_row()?;
    must(last.starts_with("to 1522 after "), "version 2 counts on, and tells how long the word was away", &last)?;
    let rewritten = [r#"be: {"count":1000,"last":null}"#, r#"or: {"count":1000,"last":null}"#];
    guide.run(&["state", "scan", "words", "count", "count", "--fresh"], &rewritten)?;
    Ok(())
}

pub(crate) fn roll_back(guide: &mut Guide) -> anyhow::Result<()> {
    modules::push(guide, "word-count-v3", "word-count@3.0.0")?;
    let swap = [&SWAP[..], &["word-count@3.0.0", "--probation", "10m", "--wait"]].concat();
    let an_empty_word = |guide: &mut Guide| {
        guide.until("version 3 is on probation", "/v1/operations", is_on_probation)?;
        guide.post(&times(1, ""))
    };
    guide.run_beside(&swap, an_empty_word, 1, &["swap FAILED: undone", "rolled back", "trap"])?;
    let last = guide.last_row()?;
    must(last == " 1", "version 2 has counted the word that version 3 could not", &last)?;
    guide.run(&["job", "inspect", "words"], &["0 dead letters"])?;
    Ok(())
}

fn is_on_probation(told: &Value) -> bool {
    let operations = told["operations"].as_array().map_or(&[][..], Vec::as_slice);
    operations.iter().any(|operation| operation["detail"]["stage"] == "probation")
}
