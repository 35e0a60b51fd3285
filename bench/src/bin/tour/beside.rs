//! A version beside the operator, before it may do anything.

use crate::guide::{Guide, must, times};

/// Words that version 3 writes as version 2 does.
const PLAIN: usize = 1500;
/// Words of which version 3 makes something else.
const PLANTED: usize = 1000;

pub(crate) fn shadow(guide: &mut Guide) -> anyhow::Result<()> {
    let of = ["words", "count"];
    let report = "/v1/jobs/words/operators/count/shadow";
    guide.run(
        &[&["operator", "shadow"], &of[..], &["word-count@3.0.0", "--samples", "2"]].concat(),
        &["shadow waiting"],
    )?;
    guide.until("the shadow follows", report, |told| told["stage"] == "following")?;
    guide.post(&times(PLAIN, "be"))?;
    guide.post(&times(PLANTED, "Be"))?;
    guide.until("the shadow has seen all", report, |told| told["events"] == (PLAIN + PLANTED) as u64)?;
    let planted = format!("differing: {PLANTED}, missing: 0, extra: 0");
    guide.run(&[&["operator", "shadow-report"], &of[..]].concat(), &[&planted])?;
    guide.run(&[&["operator", "shadow-discard"], &of[..]].concat(), &["shadow over"])?;
    let last = guide.last_row()?;
    must(last.contains("Be 1000 after "), "nothing of the shadow leaves", &last)
}
