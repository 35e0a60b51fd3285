//! `make crashpoints`: a host that dies at each of its fail points leaves what it would have left had it not.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod points;
mod world;
mod client;
mod outcome;
mod postgres;
mod course;
mod swaps;
mod beside;
mod swapped;
mod scenario;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::bail;

use crate::postgres::Postgres;
use crate::scenario::Scenario;
use crate::walk::{Reference, Trial, Verdict, Walk};

const USAGE: &str = "usage: crashpoints GRISTMILL PSQL DATABASE [POINT…]

GRISTMILL is a host with the feature `failpoints`, DATABASE how PSQL connects. Without POINTs all of the sources are walked.";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [binary, psql, database, wanted @ ..] = arguments.as_slice() else { bail!("{USAGE}") };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository's root");
    let mut points = points::in_sources(root)?;
    if let Some(strange) = wanted.iter().find(|name| !points.contains_key(*name)) {
        bail!("there is no fail point `{strange}` in the sources");
    }
    points.retain(|name, _| wanted.is_empty() || wanted.contains(name));
    let walk = Walk { binary: binary.into(), points, server: Postgres::new(psql, database) };
    let began = Instant::now();
    let references = walk.references()?;
    for (scenario, reference) in &references {
        eprintln!("{}: {} committed lines in undisturbed runs", scenario.name(), reference.outcome.lines());
    }
    let trials = Walk::trials(&references);
    let done = AtomicUsize::new(0);
    let verdicts = walk.judge(&trials, &references, |trial, verdict| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!("{done}/{} {}", trials.len(), one_line(trial, verdict));
    });
    let wrong = report(&walk, &references, &trials, &verdicts);
    println!(
        "{} fail points, {} crashes, {wrong} wrong, {} s",
        walk.points.len(),
        trials.len(),
        began.elapsed().as_secs()
    );
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one_line(trial: &Trial, verdict: &Verdict) -> String {
    let Trial { scenario, crash } = trial;
    let verdict = match verdict {
        Verdict::Same => "ok",
        Verdict::NotReached => "not reached this time",
        Verdict::Wrong(how) => how,
    };
    format!("{} at hit {} of {}: {verdict}", crash.name, crash.hit, scenario.name())
}

/// Prints a line for each point; gives how many are wrong.
fn report(walk: &Walk, references: &BTreeMap<Scenario, Reference>, trials: &[Trial], verdicts: &[Verdict]) -> usize {
    let mut wrong = 0;
    println!("{:<28} {:>8} {:>8}  crashed at", "fail point", "hits in", "hits in");
    let names: Vec<_> = references.keys().map(|scenario| format!("{:>8}", scenario.name())).collect();
    println!("{:<28} {}", "", names.join(" "));
    for (name, place) in &walk.points {
        let hits: Vec<_> = references.values().map(|reference| reference.hits[name]).collect();
        let shown: Vec<_> = hits.iter().map(|hits| format!("{hits:>8}")).collect();
        let of_point = || trials.iter().zip(verdicts).filter(|(trial, _)| trial.crash.name == *name);
        let is_same = |verdict: &Verdict| matches!(verdict, Verdict::Same);
        let at = of_point().filter(|(_, verdict)| is_same(verdict));
        let at: Vec<_> = at.map(|(trial, _)| format!("{} {}", trial.scenario.name(), trial.crash.hit)).collect();
        println!("{name:<28} {}  {}", shown.join(" "), at.join(", "));
        let mut complaints: Vec<_> = of_point()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Wrong(_)))
            .map(|(trial, verdict)| one_line(trial, verdict))
            .collect();
        if at.is_empty() {
            complaints.push(format!("no scenario has come through a crash at {place}"));
        }
        complaints.iter().for_each(|complaint| println!("  WRONG: {complaint}"));
        wrong += usize::from(!complaints.is_empty());
    }
    wrong
}
