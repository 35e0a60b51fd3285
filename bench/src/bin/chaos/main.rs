//! `make chaos KILLS=n`: a host under load is killed with -9 again and again, and what it has committed in the end is
//! counted from outside. With `SWAPS=1` events are posted, and the module that counts them is swapped meanwhile, as fast as
//! operations allow, also to one that keeps its state in another schema, and back.
//!
//! The last line is one JSON object. The exit status says whether the output was as if nothing had happened, and whether
//! the kills came at all the moments they should, and swaps were made.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod checker;
mod table;
mod host;
mod api;
mod feeder;
mod swapper;
mod crowd;
mod load;
mod phases;
mod aim;
mod reached;

use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::aim::Aim;
use crate::checker::{Expected, Verdict};
use crate::crowd::Crowd;
use crate::host::{Host, JOB};
use crate::load::Load;
use crate::phases::Phases;
use crate::reached::{Hits, missed};
use crate::swapper::Swaps;
use crate::table::Table;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: chaos [--swaps] KILLS GRISTMILL PSQL DATABASE

GRISTMILL is the host, DATABASE how PSQL connects to a database of which nothing else is wanted.";

/// A life lets this much time pass while its job runs, before it is aimed at: it gets something done.
const WORK_MS: Range<u64> = 300..900;
/// Swaps take their time.
const SWAPPING_MS: Range<u64> = 500..3_000;
/// What is posted is taken and written by then, and a swap is over, or never.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How often the table is counted.
const LOOK: Duration = Duration::from_millis(200);

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let swaps = arguments.first().is_some_and(|first| first == "--swaps");
    arguments.drain(..usize::from(swaps));
    let [kills, binary, psql, database] = arguments.as_slice() else { bail!("{USAGE}") };
    let kills: u32 = kills.parse().with_context(|| format!("`{kills}` is not a number of kills"))?;
    let folder = tempfile::tempdir()?;
    let load = Load::new(kills, binary, folder.path().to_owned(), Table::make(psql, database)?);
    let outcome = if swaps { run_swapped(kills, &load) } else { run(kills, &load) };
    if !matches!(outcome, Ok(true)) {
        eprintln!("the host's data, its logs and its output are kept in {}", folder.keep().display());
    }
    Ok(if outcome? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills, lets the job end, counts. Gives whether all was well.
fn run(kills: u32, load: &Load) -> anyhow::Result<bool> {
    let expected = load.expected()?;
    let hits = strike(kills, load, None)?;
    let host = Host::start(&load.binary, &load.folder, Path::new("log-last"))?;
    host.until("FINISHED", LONGEST_WAIT)?;
    let verdict = judge(load, &expected)?;
    let Verdict { lost, duplicated, reordered } = verdict;
    let Hits { in_checkpoint, in_commit, in_recovery, .. } = hits;
    println!(
        "{{\"kills\":{kills},\"in_checkpoint\":{in_checkpoint},\"in_commit\":{in_commit},\"in_recovery\":{in_recovery},\
         \"events\":{},\"lost\":{lost},\"duplicated\":{duplicated},\"reordered\":{reordered}}}",
        load.events
    );
    Ok(is_well(verdict, &missed(kills, hits, None)))
}

/// The same with posted events and swaps.
fn run_swapped(kills: u32, load: &Load) -> anyhow::Result<bool> {
    let mut crowd = Crowd::default();
    let hits = strike(kills, load, Some(&mut crowd))?;
    let host = Host::start(&load.binary, &load.folder, Path::new("log-last"))?;
    host.until("RUNNING", LONGEST_WAIT)?;
    crowd.feeder.finish(&load.folder, LONGEST_WAIT)?;
    crowd.swapper.finish(&load.folder, LONGEST_WAIT)?;
    let expected = crowd.feeder.expected()?;
    let began = Instant::now();
    while load.table.rows()? < expected.rows() && began.elapsed() < LONGEST_WAIT {
        host.until("RUNNING", LONGEST_WAIT)?;
        std::thread::sleep(LOOK);
    }
    host.post(&format!("/v1/jobs/{JOB}/stop"), "application/json", b"{}".to_vec())?;
    host.until("STOPPED", LONGEST_WAIT)?;
    let verdict = judge(load, &expected)?;
    let Verdict { lost, duplicated, reordered } = verdict;
    let Hits { in_checkpoint, in_commit, in_recovery, in_swap } = hits;
    let swaps = &crowd.swapper.swaps;
    let Swaps { done, undone, migrating, held, across_kills } = swaps;
    println!(
        "{{\"kills\":{kills},\"in_swap\":{in_swap},\"in_checkpoint\":{in_checkpoint},\"in_commit\":{in_commit},\
         \"in_recovery\":{in_recovery},\"swaps\":{done},\"undone\":{undone},\"migrating\":{migrating},\
         \"held\":{held},\"across_kills\":{across_kills},\"events\":{},\"lost\":{lost},\"duplicated\":{duplicated},\
         \"reordered\":{reordered}}}",
        crowd.feeder.events()
    );
    Ok(is_well(verdict, &missed(kills, hits, Some(swaps))))
}

/// Says what was missed.
fn is_well(verdict: Verdict, missed: &[String]) -> bool {
    missed.iter().for_each(|missed| eprintln!("{missed}"));
    verdict == Verdict::default() && missed.is_empty()
}

/// What is wrong with the output of all sinks.
fn judge(load: &Load, expected: &Expected) -> anyhow::Result<Verdict> {
    let mut sum = Verdict::default();
    for (sink, verdict) in load.judge(expected)? {
        eprintln!("{sink}: {verdict:?}");
        sum = sum.and(verdict);
    }
    Ok(sum)
}

/// Kills one host after the other.
fn strike(kills: u32, load: &Load, mut crowd: Option<&mut Crowd>) -> anyhow::Result<Hits> {
    let mut hits = Hits::default();
    let work_ms = if crowd.is_some() { SWAPPING_MS } else { WORK_MS };
    // From the start of a host until its job runs; measured in each life that comes so far.
    let mut recovery = Duration::from_millis(500);
    for (kill, aim) in (0..kills).zip(Aim::ALL.into_iter().cycle()) {
        let mut host = Host::start(&load.binary, &load.folder, Path::new(&format!("log-{kill:04}")))?;
        match &crowd {
            _ if kill > 0 => {}
            Some(_) => load.submit_swapped(&host)?,
            None => load.submit(&host)?,
        }
        let mut life = || {
            aim.wait(&host, work_ms.clone(), &mut recovery).with_context(|| format!("life {kill} of the host"))?;
            host.kill()
        };
        match crowd.as_deref_mut() {
            Some(crowd) => crowd.around(&load.folder, life)?,
            None => life()?,
        }
        let Phases { in_checkpoint, in_commit, in_recovery } = phases::of(&host, load)?;
        hits.in_checkpoint += u64::from(in_checkpoint);
        hits.in_commit += u64::from(in_commit);
        hits.in_recovery += u64::from(in_recovery);
        hits.in_swap += u64::from(crowd.as_ref().is_some_and(|crowd| crowd.swapper.is_within()));
        if (kill + 1) % 10 == 0 {
            let Hits { in_checkpoint, in_commit, in_recovery, in_swap } = hits;
            eprintln!(
                "{} of {kills} kills, {in_checkpoint} of them in checkpoints, {in_commit} in commits, {in_recovery} in \
                 recoveries, {in_swap} in swaps",
                kill + 1
            );
        }
    }
    Ok(hits)
}
