//! A second instance over the same state: it has the calls with the keys of its groups, the one in the seat all others.
//! Nothing, nearly always.

use std::sync::Arc;

use gristmill_checkpoint::{ServedGroups, Share};
use gristmill_ports::Operator;
use gristmill_types::{EventBatch, InputIndex, ModuleHash, SwapId};

use crate::canary::{CanaryTerms, ServedTally};
use crate::ending::TaskEnd;
use crate::right_of_return::RightOfReturn;
use crate::task::operator_node::handling::Handling;
use crate::task::operator_node::{OperatorNode, Output};
use crate::task::surroundings::Surroundings;

/// See the module.
pub(crate) struct Canary {
    pub(super) swap: SwapId,
    /// Whoever does not have the seat: the second one between two calls, the first one while the second has its turn.
    pub(super) module: ModuleHash,
    pub(super) operator: Box<dyn Operator>,
    has_seat: bool,
    terms: CanaryTerms,
    groups: ServedGroups,
    /// It serves so much from the next barrier of its swap on.
    next: Option<Share>,
}

impl Canary {
    /// An instance that has its turns from now on.
    pub(crate) fn begin(swap: SwapId, module: ModuleHash, operator: Box<dyn Operator>, terms: CanaryTerms) -> Self {
        let groups = terms.share.groups(terms.max);
        Self { swap, module, operator, has_seat: false, terms, groups, next: None }
    }

    /// Its turn has come.
    pub(super) fn has_seat(&self) -> bool {
        self.has_seat
    }

    /// Of the instance that it stands beside.
    pub(super) fn right(&self) -> Arc<RightOfReturn> {
        Arc::clone(&self.terms.right)
    }

    /// What is counted of whoever has the turn.
    pub(super) fn tally(&self) -> &ServedTally {
        if self.has_seat { &self.terms.tally.new } else { &self.terms.tally.old }
    }

    /// So much from the next barrier of its swap on.
    pub(super) fn widen(&mut self, share: Share) {
        self.next = Some(share);
    }

    /// That barrier passes. Says how much it serves now.
    pub(super) fn passes_barrier(&mut self) -> Share {
        if let Some(share) = self.next.take() {
            (self.terms.share, self.groups) = (share, share.groups(self.terms.max));
        }
        self.terms.share
    }

    /// The rows of the instance in the seat, and its own, each in their order.
    fn part(&self, batch: &EventBatch) -> (Vec<u32>, Vec<u32>) {
        let is_others = |row: &u32| !self.groups.contains(self.terms.max.group_of(batch.key_hashes()[*row as usize]));
        (0..batch.len() as u32).partition(is_others)
    }
}

impl OperatorNode {
    /// A batch whose rows go to two instances: first those of the one in the seat, then the other's. A key has its rows in
    /// one of both, so they keep their order.
    pub(super) fn parted(&self, canary: &Canary, input: InputIndex, batch: Arc<EventBatch>) -> Handling {
        let batch = if batch.key_hashes().is_empty() { Arc::new(Arc::unwrap_or_clone(batch).hashed()) } else { batch };
        let (own, others) = canary.part(&batch);
        if others.is_empty() {
            return Handling::new(input, batch, self.max_call_bytes);
        }
        if own.is_empty() {
            return Handling::new(input, batch, self.max_call_bytes).canarys();
        }
        let rest = Arc::new(batch.gather(&others));
        Handling::new(input, Arc::new(batch.gather(&own)), self.max_call_bytes).and_canarys(rest)
    }

    /// Makes the calls of whose turn it is, until one takes effect.
    pub(super) fn advance_in_turn(
        &mut self,
        handling: &mut Handling,
        around: &mut Surroundings,
    ) -> Result<Option<Output>, TaskEnd> {
        if handling.is_canarys {
            self.change_seats(true);
        }
        let made = self.make_calls(handling, around);
        self.change_seats(false);
        made
    }

    /// Puts the canary into the seat, or whoever sits there by rights; nothing if there is no canary any more.
    pub(super) fn change_seats(&mut self, to_canary: bool) {
        let Some(canary) = self.beside.canary.as_mut().filter(|canary| canary.has_seat != to_canary) else { return };
        std::mem::swap(&mut self.module, &mut canary.module);
        std::mem::swap(&mut self.operator, &mut canary.operator);
        canary.has_seat = to_canary;
    }

    /// So many events were dealt with by whose turn it is.
    pub(super) fn note_served(&self, events: usize, failed: usize) {
        if let Some(canary) = &self.beside.canary {
            canary.tally().note_events(events, failed);
        }
    }
}
