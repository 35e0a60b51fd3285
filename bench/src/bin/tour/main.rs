//! `make tour`: what can be done to a running job, one thing after the other, against a real host: a heading, the commands as one
//! would type them, and what they report. It ends with an error where a report does not say what it must.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod host;
mod guide;
mod modules;
mod kept;
mod swapped;
mod beside;
mod changed;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;

use guide::Guide;
use host::Host;

/// Does one thing, and looks at what comes of it.
type Step = fn(&mut Guide) -> anyhow::Result<()>;

/// In this order: each goes on from what the one before left.
const STEPS: [(&str, Step); 12] = [
    ("A job counts the words that are posted to it", kept::begin),
    ("A savepoint is taken, looked at, verified and compared", kept::savepoint),
    ("Another job begins from the savepoint", kept::fork),
    ("Another version takes over while words come: its lines are JSON", swapped::swap),
    ("A version with another schema takes over: what was counted is rewritten", swapped::migrate),
    ("A version that traps is taken back at once, and no word is lost", swapped::roll_back),
    ("A version runs beside the operator: a thousand differences are planted, and told", beside::shadow),
    ("It serves some keys for real, then more of them, then none", beside::canary),
    ("The operator gets more subtasks", changed::rescale),
    ("State is looked at, and mended", changed::state),
    ("The call that trapped is made again, without the host", changed::replay),
    ("The job ends, and every word is there once", changed::end),
];

fn main() -> ExitCode {
    match tour() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the tour ends here: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tour() -> anyhow::Result<()> {
    let begun = Instant::now();
    let binary = std::env::current_exe()?.with_file_name("gristmill");
    let mut guide = Guide::new(Host::start(binary)?);
    println!("a host listens at {}", guide.host.address);
    for (at, (heading, step)) in STEPS.iter().enumerate() {
        println!("\n{}. {heading}\n", at + 1);
        step(&mut guide).with_context(|| format!("step {}, “{heading}”", at + 1))?;
    }
    println!("\nall {} steps said what they must, in {:.0} s", STEPS.len(), begun.elapsed().as_secs_f64());
    Ok(())
}
