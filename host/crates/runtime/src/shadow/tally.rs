//! The books of a shadow in one subtask.

use std::collections::BTreeSet;

use gristmill_types::{CallFailure, EventBatch, Rejection, SubtaskIndex};

use crate::shadow::compare::{Difference, Laid, Leaving};
use crate::shadow::report::{ShadowCounts, ShadowEvent, ShadowFailure, ShadowSample};

/// See the module.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) subtask: SubtaskIndex,
    pub(crate) counts: ShadowCounts,
    pub(crate) failures: Vec<ShadowFailure>,
    pub(crate) samples: Vec<ShadowSample>,
    /// So many samples are kept.
    most_samples: usize,
}

/// Which row of the input each event that left the shadow through a port comes from, as far as it says.
pub(crate) type Origins = Vec<Option<u32>>;

impl Tally {
    pub(crate) fn new(subtask: SubtaskIndex, most_samples: usize) -> Self {
        let (counts, failures, samples) = (ShadowCounts::default(), Vec::new(), Vec::new());
        Self { subtask, counts, failures, samples, most_samples }
    }

    /// Whether there is room for one more sample.
    pub(crate) fn wants_samples(&self) -> bool {
        self.samples.len() < self.most_samples
    }

    /// A port of a call: what differs in it. `origins` are those of the shadow's output, if they were asked for.
    pub(crate) fn differs(&mut self, laid: &Laid<'_>, events: &EventBatch, origins: Option<&Origins>) {
        for difference in &laid.differences {
            let (primary, shadow) = match *difference {
                Difference::Differing { primary, shadow } => {
                    self.counts.differing += 1;
                    (Some(primary), Some(shadow))
                }
                Difference::Missing { primary } => {
                    self.counts.missing += 1;
                    (Some(primary), None)
                }
                Difference::Extra { shadow } => {
                    self.counts.extra += 1;
                    (None, Some(shadow))
                }
            };
            if self.wants_samples() {
                let said = shadow.zip(origins).and_then(|(at, origins)| origins.get(at).copied().flatten());
                let (primary, shadow) = (primary.map(|at| laid.primary[at]), shadow.map(|at| laid.shadow[at]));
                let looks_so = || primary.or(shadow).and_then(|event| row_like(events, &event));
                let row = said.map(|row| row as usize).or_else(looks_so);
                let event = |one: Leaving<'_>| ShadowEvent::new(one.timestamp, one.key, one.value);
                self.samples.push(ShadowSample {
                    subtask: self.subtask,
                    port: laid.port,
                    input: row.map(|row| ShadowEvent::of_row(events, row)),
                    primary: primary.map(event),
                    shadow: shadow.map(event),
                });
            }
        }
    }

    /// Rows that were refused by one of both.
    pub(crate) fn rejected(&mut self, primary: &[u32], shadow: &[Rejection]) {
        if primary.is_empty() && shadow.is_empty() {
            return;
        }
        let primary: BTreeSet<u32> = primary.iter().copied().collect();
        let shadow: BTreeSet<u32> = shadow.iter().map(|rejection| rejection.row).collect();
        self.counts.rejections_differing += primary.symmetric_difference(&shadow).count() as u64;
    }

    /// A call failed in the shadow.
    pub(crate) fn failed(&mut self, failure: &CallFailure, events: usize) {
        self.counts.failed_calls += 1;
        self.counts.failed_events += events as u64;
        let failed = ShadowFailure { kind: kind_of(failure).to_owned(), calls: 1, message: failure.to_string() };
        join(&mut self.failures, failed);
    }
}

/// Adds failures of a kind to those of the others.
pub(crate) fn join(failures: &mut Vec<ShadowFailure>, more: ShadowFailure) {
    match failures.iter_mut().find(|known| known.kind == more.kind) {
        Some(known) => known.calls += more.calls,
        None => failures.push(more),
    }
}

/// An event that has the key and the time of one that left.
fn row_like(events: &EventBatch, leaving: &Leaving<'_>) -> Option<usize> {
    let is_like = |&row: &usize| events.timestamps()[row] == leaving.timestamp && events.keys().get(row) == leaving.key;
    (0..events.len()).find(is_like)
}

fn kind_of(failure: &CallFailure) -> &'static str {
    match failure {
        CallFailure::BadRecord(_) => "bad-record",
        CallFailure::Transient(_) => "transient",
        CallFailure::Fatal(_) => "fatal",
        CallFailure::Host(_) => "host",
        CallFailure::Fault(fault) => fault.kind.as_str(),
    }
}
