//! What the state machine of a swap says is done.

use gristmill_checkpoint::Share;
use gristmill_checkpoint::coordinator::{Event, SwapNotice};
use gristmill_checkpoint::seating::Move;
use gristmill_checkpoint::swap::{SwapAction, SwapStage};

use super::{SwapsUnderWay, UnderWay};
use crate::control::Control;
use crate::job::conduct::Comparison;
use crate::swap::SwapControl;

impl SwapsUnderWay<'_> {
    pub(super) fn act(&mut self, action: &SwapAction) -> Option<Event> {
        let UnderWay { swap, node, old, new, states, .. } = self.current.as_ref()?;
        let seat = self.seat(node);
        let (swap, at) = (*swap, seat.place);
        let notice = |module, share| SwapNotice { swap, node: node.clone(), module, share, states: states.clone() };
        let tell = |control: &dyn Fn() -> SwapControl| {
            self.attempt.inboxes[seat.task].iter().for_each(|inbox| inbox.tell(Control::Swap(control())));
        };
        match action {
            SwapAction::Switch => {
                let machine = &self.current.as_ref()?.machine;
                let (notice, rewinds) = (notice(*new, machine.share()), machine.rewinds());
                self.current.as_mut()?.is_told = true;
                Some(if rewinds { Event::SwapHolds(notice) } else { Event::SwapReady(notice) })
            }
            SwapAction::Widen(share) => {
                tell(&|| SwapControl::Widen { node: at, swap, share: *share });
                let comparison = Comparison::begin(seat);
                self.current.as_mut()?.comparison = comparison;
                None
            }
            SwapAction::Name => Some(Event::HoldOver(notice(*new, Share::WHOLE))),
            SwapAction::Rewind { cause } => {
                self.rewound = Some(format!("the swap of operator `{node}` is taken back: {cause}"));
                // Of one that the newest manifest decides.
                self.current.as_ref()?.report.send_modify(|report| report.cause = Some(cause.clone()));
                None
            }
            SwapAction::Recall => {
                // Before they are told: a subtask that tries a batch again and again looks for this, and hears nothing else.
                self.current.as_ref()?.right.used();
                tell(&|| SwapControl::Recall { node: at, swap });
                let undone = Event::SwapUndone(notice(*old, Share::WHOLE));
                self.recalled = Some(node.clone());
                self.current.as_ref()?.is_told.then_some(undone)
            }
            SwapAction::LetGo => {
                tell(&|| SwapControl::LetGo { node: at, swap });
                None
            }
            SwapAction::Rewrite => {
                let current = self.current.as_mut()?;
                let goes_back = current.machine.stage() == SwapStage::Undoing;
                let way = |one: &Move| if goes_back { one.back() } else { one.clone() };
                current.to_rewrite = Some(current.moves.iter().map(way).collect());
                None
            }
        }
    }
}
