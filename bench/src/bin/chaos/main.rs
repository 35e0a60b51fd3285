//! `make chaos KILLS=n`: a host under load is killed with -9 again and again, and what it has committed in the end is
//! counted from outside.
//!
//! The last line is one JSON object. The exit status says whether the output was as if nothing had happened, and whether
//! the kills came at all the moments they should.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod checker;
mod table;
mod host;
mod load;
mod phases;
mod aim;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::aim::Aim;
use crate::checker::Verdict;
use crate::host::Host;
use crate::load::Load;
use crate::phases::Phases;
use crate::table::Table;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: chaos KILLS GRISTMILL PSQL DATABASE

GRISTMILL is the host, DATABASE how PSQL connects to a database of which nothing else is wanted.";

/// With so many kills or more, each phase is to be hit [`ENOUGH`] times.
const MANY_KILLS: u32 = 100;
const ENOUGH: u32 = 5;

/// How often each phase was hit.
#[derive(Default)]
struct Hits {
    in_checkpoint: u32,
    in_commit: u32,
    in_recovery: u32,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kills, binary, psql, database] = arguments.as_slice() else { bail!("{USAGE}") };
    let kills: u32 = kills.parse().with_context(|| format!("`{kills}` is not a number of kills"))?;
    let folder = tempfile::tempdir()?;
    let load = Load::new(kills, binary, folder.path().to_owned(), Table::make(psql, database)?);
    let outcome = run(kills, &load);
    if !matches!(outcome, Ok(true)) {
        eprintln!("the host's data, its logs and its output are kept in {}", folder.keep().display());
    }
    Ok(if outcome? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills, lets the job end, counts. Gives whether all was well.
fn run(kills: u32, load: &Load) -> anyhow::Result<bool> {
    let expected = load.expected()?;
    let hits = strike(kills, load)?;
    let mut sum = Verdict::default();
    for (sink, verdict) in load.judge(&expected)? {
        eprintln!("{sink}: {verdict:?}");
        sum = sum.and(verdict);
    }
    let Verdict { lost, duplicated, reordered } = sum;
    let Hits { in_checkpoint, in_commit, in_recovery } = hits;
    println!(
        "{{\"kills\":{kills},\"in_checkpoint\":{in_checkpoint},\"in_commit\":{in_commit},\"in_recovery\":{in_recovery},\
         \"events\":{},\"lost\":{lost},\"duplicated\":{duplicated},\"reordered\":{reordered}}}",
        load.events
    );
    let is_aimed = kills < MANY_KILLS || [in_checkpoint, in_commit, in_recovery].iter().all(|hits| *hits >= ENOUGH);
    if !is_aimed {
        eprintln!("a phase was hit fewer than {ENOUGH} times");
    }
    Ok(sum == Verdict::default() && is_aimed)
}

/// Kills one host after the other; the last one is left to finish the job.
fn strike(kills: u32, load: &Load) -> anyhow::Result<Hits> {
    let mut hits = Hits::default();
    // From the start of a host until its job runs; measured in each life that comes so far.
    let mut recovery = Duration::from_millis(500);
    for (kill, aim) in (0..kills).zip(Aim::ALL.into_iter().cycle()) {
        let mut host = Host::start(&load.binary, &load.folder, Path::new(&format!("log-{kill:04}")))?;
        if kill == 0 {
            load.submit(&host)?;
        }
        aim.wait(&mut host, &mut recovery).with_context(|| format!("life {kill} of the host"))?;
        host.kill()?;
        let Phases { in_checkpoint, in_commit, in_recovery } = phases::of(&host, load)?;
        hits.in_checkpoint += u32::from(in_checkpoint);
        hits.in_commit += u32::from(in_commit);
        hits.in_recovery += u32::from(in_recovery);
        if (kill + 1) % 10 == 0 {
            let Hits { in_checkpoint, in_commit, in_recovery } = hits;
            eprintln!(
                "{} of {kills} kills, {in_checkpoint} of them in checkpoints, {in_commit} in commits, {in_recovery} in \
                 recoveries",
                kill + 1
            );
        }
    }
    let host = Host::start(&load.binary, &load.folder, Path::new("log-last"))?;
    host.until("FINISHED", Duration::from_secs(600))?;
    Ok(hits)
}
