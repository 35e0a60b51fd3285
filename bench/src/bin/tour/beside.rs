//! A version beside the operator, before it may do anything.

use crate::guide::{Guide, must, times};

/// Words that a canary shares with the operator: each in capitals, which version 3 gets wrong.
const SHARED: usize = 100;
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

pub(crate) fn canary(guide: &mut Guide) -> anyhow::Result<()> {
    let of = ["words", "count"];
    let begin = [&["operator", "canary"], &of[..], &["word-count@3.0.0", "--share", "10", "--wait"]].concat();
    guide.run(&begin, &["serves 10 %"])?;
    let few = in_small_letters(guide)?;
    must(0 < few && few < SHARED / 2, "some keys go through the canary, and few", &few.to_string())?;
    let served = format!("canary: {few} events, 0 of them failed");
    guide.run(&[&["operator", "canary-report"], &of[..]].concat(), &[&served])?;
    guide.run(&[&["operator", "canary-widen"], &of[..], &["--share", "50", "--wait"]].concat(), &["serves 50 %"])?;
    let more = in_small_letters(guide)?;
    must(few < more && more < SHARED, "more keys go through it", &more.to_string())?;
    guide.run(&[&["operator", "canary-withdraw"], &of[..], &["--wait"]].concat(), &["withdraw-canary SUCCEEDED"])?;
    let none = in_small_letters(guide)?;
    must(none == 0, "no key goes through it any more", &none.to_string())
}

/// How many of as many words, each another one, version 3 has written.
fn in_small_letters(guide: &mut Guide) -> anyhow::Result<usize> {
    guide.post(&(0..SHARED).map(|number| format!("W{number:02}")).collect::<Vec<_>>())?;
    let rows = guide.committed()?;
    let small = rows.lines().rev().take(SHARED).filter(|row| row.starts_with('w')).count();
    println!("  {small} of {SHARED} rows are the new version's");
    Ok(small)
}
