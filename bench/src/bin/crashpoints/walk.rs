//! Crashes at every fail point of the sources, one trial each, and compares what is committed in the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use crate::course::Course;
use crate::outcome::Outcome;
use crate::points::Points;
use crate::postgres::Postgres;
use crate::scenario::{ALL, Scenario};
use crate::world::{CrashAt, World};

/// Trials at a time: most of their time they wait.
const AT_A_TIME: usize = 3;

/// All that trials have in common.
pub(crate) struct Walk {
    pub(crate) binary: PathBuf,
    pub(crate) points: Points,
    pub(crate) server: Postgres,
}

/// A crash in a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    pub(crate) scenario: Scenario,
    pub(crate) crash: CrashAt,
}

/// How a trial ended.
pub(crate) enum Verdict {
    /// As if there had been no crash.
    Same,
    /// The job came to its end before the point was reached so often.
    NotReached,
    /// In words.
    Wrong(String),
}

/// A scenario without a crash at a fail point.
pub(crate) struct Reference {
    pub(crate) outcome: Outcome,
    /// How often each point is reached in its rough course.
    pub(crate) hits: BTreeMap<String, u64>,
}

impl Walk {
    /// Runs each scenario twice: smoothly, and with kills between its steps, which must come to the same.
    ///
    /// # Errors
    /// If they do not.
    pub(crate) fn references(&self) -> anyhow::Result<BTreeMap<Scenario, Reference>> {
        let reference = |scenario: Scenario| {
            let (outcome, _, _) = self.run(scenario, Course::Smooth, None)?;
            let (rough, hits, _) = self.run(scenario, Course::Rough, None)?;
            match rough.differs_from(&outcome) {
                None => Ok((scenario, Reference { outcome, hits })),
                Some(how) => anyhow::bail!("after a kill -9 between steps: {how}"),
            }
        };
        ALL.into_iter().map(|one| reference(one).with_context(|| format!("scenario {}", one.name()))).collect()
    }

    /// At each point, in each scenario that reaches it: the first time, the second, and one in the middle.
    pub(crate) fn trials(references: &BTreeMap<Scenario, Reference>) -> Vec<Trial> {
        let mut trials = Vec::new();
        for (&scenario, reference) in references {
            for (name, &hits) in &reference.hits {
                let mut at = vec![1, 2, hits.div_ceil(2)];
                at.retain(|hit| (1..=hits).contains(hit));
                at.sort_unstable();
                at.dedup();
                trials.extend(at.into_iter().map(|hit| Trial { scenario, crash: CrashAt { name: name.clone(), hit } }));
            }
        }
        trials
    }

    /// Runs them all; gives a verdict for each. `told` hears of each that is done.
    pub(crate) fn judge(
        &self,
        trials: &[Trial],
        references: &BTreeMap<Scenario, Reference>,
        told: impl Fn(&Trial, &Verdict) + Sync,
    ) -> Vec<Verdict> {
        let next = AtomicUsize::new(0);
        let verdicts = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(trial) = trials.get(at) else { return };
                        let verdict = self.verdict(trial, &references[&trial.scenario].outcome);
                        told(trial, &verdict);
                        verdicts.lock().expect("no thread panics while it holds this").insert(at, verdict);
                    }
                });
            }
        });
        verdicts.into_inner().expect("no thread panics while it holds this").into_values().collect()
    }

    fn verdict(&self, trial: &Trial, undisturbed: &Outcome) -> Verdict {
        match self.run(trial.scenario, Course::Rough, Some(trial.crash.clone())) {
            Err(error) => Verdict::Wrong(format!("{error:#}")),
            Ok((outcome, _, crashed)) => match outcome.differs_from(undisturbed) {
                Some(how) => Verdict::Wrong(how),
                None if crashed => Verdict::Same,
                None => Verdict::NotReached,
            },
        }
    }

    fn run(
        &self,
        scenario: Scenario,
        course: Course,
        crash: Option<CrashAt>,
    ) -> anyhow::Result<(Outcome, BTreeMap<String, u64>, bool)> {
        let mut world = World::new(&self.binary, self.points.keys(), crash)?;
        let outcome = scenario.run(&mut world, course, &self.server)?;
        Ok((outcome, world.hits()?, world.crashed))
    }
}
