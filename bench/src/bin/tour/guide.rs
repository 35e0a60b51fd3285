//! Shows what is done, as one would type it, and what is reported; and sees to it that reports say what they must.

use std::process::{Output, Stdio};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::host::{Host, until};

/// The job of the tour.
pub(crate) const JOB: &str = "words";
/// The file of its sink.
const WRITTEN: &str = "words.txt";

/// Walks through the steps on a host.
pub(crate) struct Guide {
    pub(crate) host: Host,
    /// Events that the job was given.
    posted: u64,
}

impl Guide {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, posted: 0 }
    }

    /// Puts a file of this text into the directory of the tour, and shows it.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        show("cat", &[name]);
        report(text);
        std::fs::write(self.host.path(name), text).with_context(|| format!("writing {name}"))
    }

    /// Types a command of `gristmill`; its report must say all of this.
    pub(crate) fn run(&self, arguments: &[&str], must_say: &[&str]) -> anyhow::Result<String> {
        show("gristmill", arguments);
        let output = self.host.client().args(arguments).output().context("starting gristmill")?;
        checked(arguments, &output, 0, must_say)
    }

    /// The same for a command that must end with this exit code.
    pub(crate) fn run_to(&self, code: i32, arguments: &[&str], must_say: &[&str]) -> anyhow::Result<String> {
        show("gristmill", arguments);
        let output = self.host.client().args(arguments).output().context("starting gristmill")?;
        checked(arguments, &output, code, must_say)
    }

    /// Types a command that waits, does something meanwhile, and takes its report then.
    pub(crate) fn run_beside(
        &mut self,
        arguments: &[&str],
        meanwhile: impl FnOnce(&mut Self) -> anyhow::Result<()>,
        code: i32,
        must_say: &[&str],
    ) -> anyhow::Result<String> {
        show("gristmill", &[arguments, &["&"]].concat());
        let mut command = self.host.client();
        let begun = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        meanwhile(self)?;
        let output = begun.wait_with_output()?;
        show("wait", &["%1"]);
        checked(arguments, &output, code, must_say)
    }

    /// Gives the job words, in this order, and waits until it has written as many rows.
    pub(crate) fn post(&mut self, words: &[String]) -> anyhow::Result<()> {
        self.post_without_waiting(words)?;
        until("every word is counted", || {
            let job = self.host.look(&format!("/v1/jobs/{JOB}"))?;
            Ok((job["events_written"].as_u64() >= Some(self.posted)).then_some(()))
        })
    }

    /// Gives the job words, in this order.
    pub(crate) fn post_without_waiting(&mut self, words: &[String]) -> anyhow::Result<()> {
        self.post_to(JOB, words)?;
        self.posted += words.len() as u64;
        Ok(())
    }

    /// Gives another job words.
    pub(crate) fn post_to(&self, job: &str, words: &[String]) -> anyhow::Result<()> {
        let path = format!("/v1/jobs/{job}/sources/words/events");
        let lines: Vec<String> = words.iter().map(|word| json!({"word": word}).to_string()).collect();
        show("curl", &["--data-binary", "@words.jsonl", &format!("$GRISTMILL_HOST{path}")]);
        report(&format!("({} words: {} …)", words.len(), lines.first().map_or("none", String::as_str)));
        self.host.post(&path, lines.join("\n"))
    }

    /// Waits until all rows are committed; shows the last of them, and gives it.
    pub(crate) fn last_row(&self) -> anyhow::Result<String> {
        let rows = self.committed()?;
        let last = rows.lines().last().unwrap_or_default();
        show("tail", &["-n", "1", WRITTEN]);
        report(last);
        Ok(last.to_owned())
    }

    /// Waits until a row is committed for each event that was posted, and gives all rows.
    pub(crate) fn committed(&self) -> anyhow::Result<String> {
        until("all rows are committed", || {
            let rows = self.host.text(WRITTEN);
            Ok((rows.lines().count() as u64 >= self.posted).then_some(rows))
        })
    }

    /// Events that the job was given so far.
    pub(crate) fn posted(&self) -> u64 {
        self.posted
    }

    /// Waits until the API tells such a thing at a path.
    pub(crate) fn until(&self, what: &str, path: &str, is_such: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        until(what, || Ok(Some(self.host.look(path)?).filter(|told| is_such(told))))
    }
}

/// The same word many times.
pub(crate) fn times(count: usize, word: &str) -> Vec<String> {
    vec![word.to_owned(); count]
}

/// What a step has found must be so.
pub(crate) fn must(is_so: bool, what: &str, found: &str) -> anyhow::Result<()> {
    ensure!(is_so, "{what}, but it is `{found}`");
    Ok(())
}

fn checked(arguments: &[&str], output: &Output, code: i32, must_say: &[&str]) -> anyhow::Result<String> {
    let told = [&*output.stdout, &*output.stderr].concat();
    let told = String::from_utf8_lossy(&told).trim_end().to_owned();
    report(&told);
    let line = arguments.join(" ");
    ensure!(
        output.status.code() == Some(code),
        "`gristmill {line}` must end with {code}, and ended with {}",
        output.status
    );
    for must in must_say {
        ensure!(told.contains(must), "`gristmill {line}` must say `{must}`, and does not");
    }
    Ok(told)
}

/// A command as one would type it.
fn show(program: &str, arguments: &[&str]) {
    let plain = |argument: &str| !argument.is_empty() && !argument.contains([' ', '"', '{', '*']);
    let typed =
        arguments.iter().map(|argument| if plain(argument) { (*argument).to_owned() } else { format!("'{argument}'") });
    println!("  $ {program} {}", typed.collect::<Vec<_>>().join(" "));
}

/// What was reported, a little to the right.
fn report(text: &str) {
    for line in text.trim_end().lines() {
        println!("    {line}");
    }
}
