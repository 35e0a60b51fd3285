//! Whether a run came to what it is to test: one whose kills all missed has proved nothing, however clean its output.

use crate::swapper::Swaps;

/// With so many kills or more, each kind of kill is to come at least once.
const SOME_KILLS: u32 = 20;
/// With so many or more, each phase is to be hit [`ENOUGH`] times.
const MANY_KILLS: u32 = 100;
const ENOUGH: u64 = 5;

/// How often each phase was hit.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Hits {
    pub(crate) in_checkpoint: u64,
    pub(crate) in_commit: u64,
    pub(crate) in_recovery: u64,
    pub(crate) in_swap: u64,
}

/// What so many kills should have come to and did not, each in a sentence. `swaps`: if modules were swapped meanwhile.
pub(crate) fn missed(kills: u32, hits: Hits, swaps: Option<&Swaps>) -> Vec<String> {
    let once = u64::from(kills >= SOME_KILLS);
    let in_phase = if kills >= MANY_KILLS { ENOUGH } else { once };
    let Hits { in_checkpoint, in_commit, in_recovery, in_swap } = hits;
    let mut wanted = vec![
        ("kills within a checkpoint", in_checkpoint, in_phase),
        ("kills within a commit", in_commit, in_phase),
        ("kills within a recovery", in_recovery, in_phase),
    ];
    if let Some(Swaps { done, migrating, held, across_kills, .. }) = swaps {
        wanted.extend([
            ("swaps that were done", *done, 1),
            ("kills within a swap", in_swap, once),
            ("swaps that a kill left open and a later host ended", *across_kills, once),
            ("swaps between two schemas", *migrating, once),
            ("swaps that were held", *held, once),
        ]);
    }
    let too_few = wanted.into_iter().filter(|(_, times, least)| times < least);
    let in_words = |(what, times, least): (&str, u64, u64)| {
        format!("too little is proved: there were {times} {what}, and at least {least} are wanted")
    };
    too_few.map(in_words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIT: Hits = Hits { in_checkpoint: 1, in_commit: 1, in_recovery: 1, in_swap: 1 };

    fn swaps(done: u64, migrating: u64, across_kills: u64) -> Swaps {
        Swaps { done, undone: 0, migrating, held: done, across_kills }
    }

    #[test]
    fn without_a_hold_nothing_is_proved_of_one() {
        let none_held = Swaps { held: 0, ..swaps(1, 1, 1) };
        assert_eq!(missed(20, HIT, Some(&none_held)).len(), 1);
        assert_eq!(missed(20, HIT, Some(&swaps(1, 1, 1))).len(), 0);
    }

    #[test]
    fn what_was_never_reached_is_named() {
        let none = Hits::default();
        for (kills, hits, swaps, named) in [
            (1, HIT, Some(swaps(0, 0, 0)), &["swaps that were done"][..]),
            (1, none, None, &[]),
            (19, none, Some(swaps(1, 0, 0)), &[]),
            (20, HIT, None, &[]),
            (20, none, None, &["within a checkpoint", "within a commit", "within a recovery"]),
            (20, Hits { in_commit: 0, ..HIT }, None, &["within a commit"]),
            (20, HIT, Some(swaps(1, 1, 1)), &[]),
            (20, Hits { in_swap: 0, ..HIT }, Some(swaps(1, 1, 1)), &["within a swap"]),
            (20, HIT, Some(swaps(1, 0, 1)), &["between two schemas"]),
            (20, HIT, Some(swaps(1, 1, 0)), &["left open"]),
            (100, Hits { in_checkpoint: 5, in_commit: 4, in_recovery: 5, in_swap: 0 }, None, &["within a commit"]),
            (100, Hits { in_checkpoint: 5, in_commit: 5, in_recovery: 5, in_swap: 0 }, None, &[]),
        ] {
            let said = missed(kills, hits, swaps.as_ref());
            assert_eq!(said.len(), named.len(), "{kills} kills: {said:?}");
            assert!(said.iter().zip(named).all(|(said, named)| said.contains(named)), "{kills} kills: {said:?}");
        }
    }
}
