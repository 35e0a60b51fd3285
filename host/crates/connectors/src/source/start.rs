//! Where a source begins, if not at its beginning.

use gristmill_types::EventBatch;

/// Takes the events out whose time lies before `start_ms`.
pub(super) fn leave_out_before(events: &mut EventBatch, start_ms: i64) {
    if events.timestamps().iter().all(|&timestamp| timestamp >= start_ms) {
        return;
    }
    let rows = events.timestamps().iter().zip(0..);
    let kept: Vec<u32> = rows.filter(|(timestamp, _)| **timestamp >= start_ms).map(|(_, row)| row).collect();
    *events = events.gather(&kept);
}
