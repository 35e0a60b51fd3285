//! Asking a running job to let another module serve some of an operator's keys.

use gristmill_checkpoint::swap::{SwapPolicy, SwapStage};
use gristmill_checkpoint::{Seating, Share};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{Descriptor, NodeId};
use tokio::sync::watch;

use crate::canary::Served;
use crate::checkpoint::told::Told;
use crate::job::handle::JobHandle;
use crate::job::spec::JobSpec;
use crate::job::swap_terms::{SwapRefused, SwapTerms};
use crate::swap::{SwapReport, SwapTold, SwapWish};

/// What a canary came to so far.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryReport {
    /// How far it is; its stage is `canary` while both modules serve.
    pub swap: SwapReport,
    /// How much the new module serves, or served last.
    pub share: Share,
    /// So many key groups these are.
    pub key_groups: u32,
    /// Of so many.
    pub max_parallelism: u32,
    /// The module that ran before, since the canary began in this process.
    pub old: Served,
    /// The new one.
    pub new: Served,
}

impl JobHandle {
    /// Lets what `spec` has in `operator` serve a share of its key groups, from the barrier of a checkpoint on. Blocks until
    /// the new instances are open; not for a tokio worker.
    ///
    /// # Errors
    /// Why it does not.
    pub fn canary(
        &self,
        operator: &NodeId,
        spec: &JobSpec,
        share: Share,
        policy: SwapPolicy,
    ) -> Result<watch::Receiver<SwapReport>, SwapRefused> {
        if let Some(why) = self.canary_misfit(operator, spec, share) {
            return Err(SwapRefused::Misfit(why));
        }
        self.put_in(operator, spec, SwapTerms::from(policy), share)
    }

    /// The canary that is under way is to serve so much, from the next barrier on; all: it takes the operator over.
    ///
    /// # Errors
    /// If there is none, it is about to take another step, or serves as much already.
    pub fn widen_canary(&self, operator: &NodeId, share: Share) -> Result<(), SwapRefused> {
        let canary = self.newest_canary().filter(|canary| canary.swap.operator == *operator && !canary.swap.is_over());
        let Some(CanaryReport { swap, share: serves, .. }) = canary else {
            return Err(SwapRefused::Misfit(format!("no canary serves operator `{operator}`")));
        };
        if swap.stage != SwapStage::Canary {
            return Err(SwapRefused::Canary { module: swap.new, operator: swap.operator, stage: swap.stage });
        }
        if share <= serves {
            return Err(SwapRefused::Misfit(format!(
                "the canary of operator `{operator}` serves {serves} already, and is only ever widened; withdraw it, and \
                 begin one with {share}"
            )));
        }
        Ok(self.tell(Told::Swap(SwapTold::Ended(SwapWish::Widen(share))))?)
    }

    /// What the newest canary came to so far, over or not; nothing if the newest swap was none.
    #[must_use]
    pub fn newest_canary(&self) -> Option<CanaryReport> {
        let modules = self.shared.modules();
        let (swap, terms) = (modules.newest()?.borrow().clone(), modules.newest_terms()?);
        let share = swap.share.unwrap_or(terms.share);
        let (key_groups, max_parallelism) = (share.groups(terms.max).count(), terms.max.get());
        let (old, new) = (terms.tally.old.served(), terms.tally.new.served());
        Some(CanaryReport { swap, share, key_groups, max_parallelism, old, new })
    }

    /// Why a module cannot serve some of the operator's keys, beside what a swap would find.
    fn canary_misfit(&self, operator: &NodeId, spec: &JobSpec, share: Share) -> Option<String> {
        let (seat, new) = (self.seat(operator)?, spec.operators.get(operator)?);
        let max = self.shared.max_parallelism;
        if share.is_whole() || share.groups(max).count() == max.get() {
            return Some(format!(
                "{share} of the {} key groups are all of them: a canary serves some; swap the module in instead",
                max.get()
            ));
        }
        if let Some((input, _)) = seat.inputs.iter().find(|(_, key_by)| key_by.is_none()) {
            return Some(format!(
                "input `{input}` of `{operator}` has no `key_by`, so its events belong to no key group; a canary serves \
                 keys: swap the module in, or try it as a shadow first"
            ));
        }
        let modules = self.shared.modules();
        let before = modules.running(operator)?.prepared.factory.descriptor();
        states_misfit(operator, modules.states(operator), before, new.prepared.factory.descriptor())
    }
}

/// Both versions read and write one state, so both must see it in the same way.
fn states_misfit(operator: &NodeId, there: &[StateSpec], before: &Descriptor, after: &Descriptor) -> Option<String> {
    if let Some(one) = Seating::among(there, &before.states).moves.first() {
        return Some(format!(
            "state `{}` of `{operator}` is still being rewritten by the module that runs; wait until it is through",
            one.state
        ));
    }
    let (old, new) = (before.states.iter().map(Some), after.states.iter().map(Some));
    let longer = old.len().max(new.len());
    let pad = std::iter::repeat(None);
    let mut pairs = old.chain(pad.clone()).zip(new.chain(pad)).take(longer);
    let (old, new) = pairs.find(|(old, new)| old != new)?;
    let name = |state: Option<&StateSpec>| {
        state.map_or("none".to_owned(), |state| format!("`{}` of schema version {}", state.name, state.version))
    };
    Some(format!(
        "both versions would read and write one state, and declare it differently: `{operator}` has {} where the new module \
         has {}; declare the same states in the same order, with the same schema and time to live, or swap the module in, which \
         rewrites state",
        name(old),
        name(new)
    ))
}
