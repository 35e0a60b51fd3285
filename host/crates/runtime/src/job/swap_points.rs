//! Where a host may be made to die in a swap, for `make crashpoints`: each stage, as soon as it was told.

use gristmill_checkpoint::swap::SwapStage;

/// A swap has come to this stage.
pub(crate) fn crash_at(stage: SwapStage) {
    match stage {
        // The first is where it begins; in the others it stays, and dies at random (`make chaos`).
        SwapStage::Preparing | SwapStage::Held | SwapStage::Canary => {}
        SwapStage::Prepared => fail::fail_point!("swap-prepared"),
        SwapStage::Switching => fail::fail_point!("swap-barrier-sent"),
        SwapStage::Switched => fail::fail_point!("swap-switched"),
        SwapStage::Probation => fail::fail_point!("swap-decided"),
        SwapStage::Undoing => fail::fail_point!("swap-undoing"),
        SwapStage::Done => fail::fail_point!("swap-done"),
        SwapStage::Undone => fail::fail_point!("swap-undone"),
    }
}
