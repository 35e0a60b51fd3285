//! More subtasks, state that is mended, a crash looked into, and the end with the record of it all.

use anyhow::Context;

use crate::guide::{Guide, must, times};
use crate::modules;

pub(crate) fn rescale(guide: &mut Guide) -> anyhow::Result<()> {
    let rescale = ["job", "rescale", "words", "--operator", "count=4"];
    guide.run(&[&rescale[..], &["--dry-run"]].concat(), &["count from 2 to 4 subtasks"])?;
    guide.run(&[&rescale[..], &["--wait"]].concat(), &["rescale SUCCEEDED", "count from 2 to 4 subtasks"])?;
    guide.post(&times(1, "to"))?;
    let last = guide.last_row()?;
    must(last.starts_with("to 1523 after "), "four subtasks count on from two", &last)
}

pub(crate) fn state(guide: &mut Guide) -> anyhow::Result<()> {
    let of = ["words", "count", "count"];
    guide.run(&["state", "list", "words", "count"], &["105 keys"])?;
    guide.run(&[&["state", "get"], &of[..], &["--key", "or"]].concat(), &[r#"count.count of or: {"count":1000,"#])?;
    let value = ["--key", "or", "--value", r#"{"count":41,"last":null}"#];
    guide.run(&[&["state", "set"], &of[..], &value].concat(), &["edit-state SUCCEEDED"])?;
    guide.post(&times(1, "or"))?;
    let last = guide.last_row()?;
    must(last == "or 42", "the operator counts on from the edit", &last)
}

pub(crate) fn replay(guide: &mut Guide) -> anyhow::Result<()> {
    guide.run(&["job", "crashes", "words"], &["trap"])?;
    let crashes = guide.host.look("/v1/jobs/words/crashes")?;
    let name = crashes["crashes"][0]["name"].as_str().context("a crash bundle has a name")?;
    guide.run(&["job", "crash", "words", name, "-o", "it.crash"], &["gristmill replay it.crash"])?;
    guide.run_to(3, &["replay", "it.crash"], &["it fails as before: trap"])?;
    let good = modules::fetch(guide, "word-count-v2")?;
    guide.run(&["replay", "it.crash", "--module", &good], &["it does not fail any more"])?;
    Ok(())
}

pub(crate) fn end(guide: &mut Guide) -> anyhow::Result<()> {
    guide.run(&["job", "stop", "words", "--wait"], &["job words is STOPPED"])?;
    guide.run(&["audit"], &["operators/count/swap", "state/count?key=or"])?;
    let rows = guide.committed()?.lines().count();
    println!("  {} words were posted, and {rows} rows were written", guide.posted());
    must(rows as u64 == guide.posted(), "there is one row for each word", &rows.to_string())
}
