//! Where a host may be made to die in a swap, for `make crashpoints`: each stage, as soon as it was told.

use gristmill_checkpoint::swap::SwapStage;

/// A swap has come from one stage to another.
pub(crate) fn crash_at(before: SwapStage, stage: SwapStage) {
    match (before, stage) {
        // The first is where it begins; a canary's subtasks have points of their own.
        (_, SwapStage::Preparing | SwapStage::Canary) => {}
        (_, SwapStage::Prepared) => fail::fail_point!("swap-prepared"),
        (_, SwapStage::Switching) => fail::fail_point!("swap-barrier-sent"),
        (SwapStage::Held, SwapStage::Switched) => fail::fail_point!("swap-hold-over"),
        (_, SwapStage::Switched) => fail::fail_point!("swap-switched"),
        (_, SwapStage::Held) => fail::fail_point!("swap-held"),
        (_, SwapStage::Probation) => fail::fail_point!("swap-decided"),
        (_, SwapStage::Undoing) => fail::fail_point!("swap-undoing"),
        (_, SwapStage::Done) => fail::fail_point!("swap-done"),
        (_, SwapStage::Undone) => fail::fail_point!("swap-undone"),
    }
}
