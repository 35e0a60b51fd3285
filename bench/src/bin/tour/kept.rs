//! A job, a savepoint of it, and another job that begins from there.

use crate::guide::{Guide, must, times};
use crate::modules;

/// The job of the tour; a fork of it has another name and file.
const DOCUMENT: &str = "\
version: 1
job: words
checkpoint: {every: 500ms}
sources:
  words:
    from: {http: {}}
    decode: json
operators:
  count:
    module: word-count@1.0.0
    parallelism: 2
    inputs: {in: {from: words, key_by: $.word}}
sinks:
  counts:
    inputs: [count]
    to: {file: {path: words.txt}}
";

pub(crate) fn begin(guide: &mut Guide) -> anyhow::Result<()> {
    modules::push(guide, "word-count", "word-count@1.0.0")?;
    guide.write("words.yaml", DOCUMENT)?;
    guide.run(&["job", "submit", "words.yaml"], &["job words is"])?;
    guide.post(&[times(1000, "to"), times(1000, "be"), times(1000, "or")].concat())?;
    let last = guide.last_row()?;
    must(last.ends_with(" 1000"), "the last of a thousand words is its thousandth", &last)
}

pub(crate) fn savepoint(guide: &mut Guide) -> anyhow::Result<()> {
    let take = |guide: &Guide, name: &str| {
        let told = ["SUCCEEDED", "3 entries"];
        guide.run(&["savepoint", "create", "words", "--name", name, "--wait"], &told).map(drop)
    };
    take(guide, "first")?;
    guide.run(&["savepoint", "inspect", "words", "first"], &["count (value v1, 3 entries)"])?;
    guide.run(&["savepoint", "verify", "words", "first"], &["verify-savepoint SUCCEEDED"])?;
    guide.post(&times(500, "to"))?;
    take(guide, "second")?;
    guide.run(&["savepoint", "diff", "words/first", "words/second"], &["2 alike", "differing: 1"])?;
    Ok(())
}

pub(crate) fn fork(guide: &mut Guide) -> anyhow::Result<()> {
    let document = DOCUMENT.replace("job: words", "job: fork").replace("words.txt", "fork.txt");
    std::fs::write(guide.host.path("fork.yaml"), document)?;
    let submit = ["job", "submit", "fork.yaml", "--savepoint", "words/first"];
    guide.run(&[&submit[..], &["--dry-run"]].concat(), &["count.count: same"])?;
    guide.run(&submit, &["job fork is"])?;
    guide.until("the fork runs", "/v1/jobs/fork", |job| job["state"] == "RUNNING")?;
    guide.post_to("fork", &times(1, "to"))?;
    guide.run(&["job", "stop", "fork", "--savepoint", "end", "--wait"], &["SUCCEEDED"])?;
    guide.run(&["savepoint", "diff", "words/first", "fork/end"], &["differing: 1"])?;
    guide.run(&["state", "get", "words", "count", "count", "--key", "to"], &["count.count of to: 1500"])?;
    Ok(())
}
