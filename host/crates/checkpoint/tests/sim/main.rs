//! The protocol under chance: attempts of a tiny job on storage that fails, one seed one run, no threads, no real time.
//!
//! Hosts crash, stop and go on as if nothing had happened, take over from each other in the midst of anything; storage
//! fails before or after it did what it was told, and tears what is read; checkpoints time out, files of state are merged
//! meanwhile. Then the chaos ends, and what is visible must be what an undisturbed run would have shown: everything once,
//! in order. `SEED=n cargo test -p gristmill-checkpoint --test sim` plays one seed again.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

mod dice;
mod obvious;
mod world;
mod takeover;
mod subtask;
mod storer;
mod merger;
mod attempt;

use attempt::{Attempt, some_request};
use obvious::Obvious;
use world::{Met, World};

/// So many runs.
pub(crate) const SEEDS: u64 = 2_000;
/// So many steps may things go wrong.
const CHAOS_STEPS: usize = 1_500;
/// After so many the run should long be over.
const MOST_STEPS: usize = 60_000;
/// What is left over when the job is finished goes on for so many.
const STEPS_AFTER_THE_END: usize = 400;
const SUBTASKS: usize = 2;
const EVENTS: usize = 60;
const KEYS: u8 = 3;

/// Plays one seed.
///
/// # Errors
/// The first thing that went wrong.
pub(crate) fn run(seed: u64, obvious: Option<Obvious>) -> Result<BTreeMap<Met, u64>, String> {
    let mut world = World::new(seed, obvious);
    let mut key_of = |at: usize| at as u8 * KEYS + world.dice.below(KEYS.into()) as u8;
    let input: Vec<Vec<u8>> = (0..SUBTASKS).map(|at| (0..EVENTS).map(|_| key_of(at)).collect()).collect();
    let mut attempts: Vec<Attempt> = Vec::new();
    let (mut started, mut after_the_end) = (0, 0);
    for step in 0..MOST_STEPS {
        world.chaos = step < CHAOS_STEPS;
        attempts.retain(|attempt| !attempt.is_over);
        if world.chaos {
            trouble(&mut attempts, &mut world);
        } else {
            attempts.iter_mut().for_each(|attempt| attempt.is_stopped = false);
        }
        let wants_another = world.chaos && world.dice.per_mille(2);
        if !world.finished && (wants_another || attempts.iter().all(|attempt| attempt.is_stopped)) {
            started += 1;
            attempts.push(Attempt::new(started));
        }
        if world.dice.per_mille(50) {
            world.now_ms += 1 + world.dice.number() % 100;
        }
        if !attempts.is_empty() {
            let at = world.dice.below(attempts.len());
            if !attempts[at].is_stopped {
                attempts[at].step(&input, &mut world);
            }
        }
        if let Some(wrong) = world.wrong.take() {
            return Err(format!("step {step}: {wrong}"));
        }
        after_the_end += usize::from(world.finished);
        if after_the_end > STEPS_AFTER_THE_END && !world.chaos {
            world.compare(&input);
            return world.wrong.map_or(Ok(world.met), |wrong| Err(format!("at the end: {wrong}")));
        }
    }
    Err("it did not come to an end".to_owned())
}

/// What happens to hosts, and to the storage.
fn trouble(attempts: &mut Vec<Attempt>, world: &mut World) {
    if attempts.is_empty() {
        return;
    }
    let at = world.dice.below(attempts.len());
    match world.dice.below(1_000) {
        0..4 => _ = attempts.remove(at),
        4..12 => attempts[at].is_stopped = true,
        12..18 => attempts[at].is_stopped = false,
        18..22 => attempts[at].tell(some_request(world)),
        22..25 => world.outage = true,
        25..35 => world.outage = false,
        _ => {}
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the seed to be played again comes from outside")]
fn committed_output_is_that_of_an_undisturbed_run_whatever_happens() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    };
    let mut met_in_all: BTreeMap<Met, u64> = BTreeMap::new();
    let played = seeds.len();
    for seed in seeds {
        match run(seed, None) {
            Ok(met) => met.into_iter().for_each(|(what, times)| *met_in_all.entry(what).or_default() += times),
            Err(wrong) => panic!("{wrong}; SEED={seed} cargo test -p gristmill-checkpoint --test sim plays it again"),
        }
    }
    if played > 1 {
        let rare: Vec<_> =
            Met::ALL.iter().filter(|what| met_in_all.get(what).is_none_or(|times| *times < 20)).collect();
        assert!(rare.is_empty(), "hardly ever met: {rare:?}; of all: {met_in_all:?}");
    }
}
