use proptest::prelude::*;

use super::*;

/// Events in short: time, key, value.
fn events<'a>(told: &[(i64, &'a str, &'a str)]) -> Vec<Leaving<'a>> {
    let leaving = |&(timestamp, key, value): &(i64, &'a str, &'a str)| Leaving {
        timestamp,
        key: (!key.is_empty()).then_some(key.as_bytes()),
        value: Some(value.as_bytes()),
    };
    told.iter().map(leaving).collect()
}

#[test]
fn an_event_lies_beside_the_one_of_its_key_and_time() {
    use Difference::{Differing, Extra, Missing};
    let all = [(1, "a", "x"), (2, "b", "y"), (3, "c", "z")];
    type Told = [(i64, &'static str, &'static str)];
    let cases: [(&str, &Told, &Told, &[Difference]); 10] = [
        ("the same", &all, &all, &[]),
        ("another value", &all, &[(1, "a", "x"), (2, "b", "?"), (3, "c", "z")], &[Differing { primary: 1, shadow: 1 }]),
        ("another key", &all, &[(1, "a", "x"), (2, "?", "y"), (3, "c", "z")], &[Differing { primary: 1, shadow: 1 }]),
        ("another time", &all, &[(9, "a", "x"), (2, "b", "y"), (3, "c", "z")], &[Differing { primary: 0, shadow: 0 }]),
        ("one left out", &all, &[(1, "a", "x"), (3, "c", "z")], &[Missing { primary: 1 }]),
        ("one more", &all[..2], &[(1, "a", "x"), (7, "n", "n"), (2, "b", "y")], &[Extra { shadow: 1 }]),
        (
            "one left out and one changed",
            &all,
            &[(1, "a", "?"), (3, "c", "z")],
            &[Differing { primary: 0, shadow: 0 }, Missing { primary: 1 }],
        ),
        (
            "one of several of a key and time left out",
            &[(1, "a", "1"), (1, "a", "2"), (1, "a", "3")],
            &[(1, "a", "1"), (1, "a", "3")],
            &[Missing { primary: 1 }],
        ),
        (
            "each of several of a key and time changed",
            &[(1, "a", "1"), (1, "a", "2"), (2, "b", "")],
            &[(1, "a", "2"), (1, "a", "3"), (2, "b", ""), (3, "b", "")],
            &[Differing { primary: 0, shadow: 0 }, Differing { primary: 1, shadow: 1 }, Extra { shadow: 3 }],
        ),
        ("nothing at all", &all, &[], &[Missing { primary: 0 }, Missing { primary: 1 }, Missing { primary: 2 }]),
    ];
    for (what, primary, shadow, expected) in cases {
        assert_eq!(differences(&events(primary), &events(shadow)), expected, "{what}");
    }
}

#[test]
fn ports_are_laid_apart_and_batches_of_a_port_together() {
    let batch = |told: &[(i64, &str, &str)]| {
        let mut batch = EventBatch::default();
        told.iter().for_each(|(time, key, value)| batch.push(*time, Some(key.as_bytes()), Some(value.as_bytes())));
        Arc::new(batch)
    };
    let (one, two) = (batch(&[(1, "a", "x")]), batch(&[(2, "b", "y")]));
    let both = batch(&[(1, "a", "x"), (2, "b", "y")]);
    let apart = [(PortIndex(0), Arc::clone(&one)), (PortIndex(0), Arc::clone(&two))];
    assert!(lay_beside(&apart, &[(PortIndex(0), Arc::clone(&both))]).is_empty());
    let other = [(PortIndex(0), one), (PortIndex(1), two)];
    let laid = lay_beside(&apart, &other);
    let found: Vec<_> = laid.iter().map(|port| (port.port, port.differences.clone())).collect();
    let expected = [
        (PortIndex(0), vec![Difference::Missing { primary: 1 }]),
        (PortIndex(1), vec![Difference::Extra { shadow: 0 }]),
    ];
    assert_eq!(found, expected);
}

fn outputs() -> impl Strategy<Value = Vec<(i64, u8, u8)>> {
    prop::collection::vec((0i64..4, 0u8..3, 0u8..3), 0..40)
}

fn leaving(told: &[(i64, [u8; 1], [u8; 1])]) -> Vec<Leaving<'_>> {
    told.iter()
        .map(|(timestamp, key, value)| Leaving { timestamp: *timestamp, key: Some(key), value: Some(value) })
        .collect()
}

fn owned(told: &[(i64, u8, u8)]) -> Vec<(i64, [u8; 1], [u8; 1])> {
    told.iter().map(|(timestamp, key, value)| (*timestamp, [*key], [*value])).collect()
}

/// Differing, missing, extra.
fn counts(found: &[Difference]) -> (usize, usize, usize) {
    let (mut differing, mut missing, mut extra) = (0, 0, 0);
    for one in found {
        match one {
            Difference::Differing { .. } => differing += 1,
            Difference::Missing { .. } => missing += 1,
            Difference::Extra { .. } => extra += 1,
        }
    }
    (differing, missing, extra)
}

proptest! {
    #[test]
    fn every_event_of_both_is_the_same_or_counted_once(primary in outputs(), shadow in outputs()) {
        let (ours, theirs) = (owned(&primary), owned(&shadow));
        let found = differences(&leaving(&ours), &leaving(&theirs));
        let (differing, missing, extra) = counts(&found);
        prop_assert!(differing + missing <= primary.len() && differing + extra <= shadow.len());
        prop_assert_eq!(primary.len() - missing, shadow.len() - extra, "what is left lies side by side");
        let mut places: Vec<_> = found.iter().filter_map(|one| match one {
            Difference::Differing { primary, .. } | Difference::Missing { primary } => Some(*primary),
            Difference::Extra { .. } => None,
        }).collect();
        places.sort_unstable();
        let all = places.len();
        places.dedup();
        prop_assert_eq!(places.len(), all, "no event is told of twice");
        let (turned, missing_then, extra_then) = counts(&differences(&leaving(&theirs), &leaving(&ours)));
        prop_assert_eq!((turned, missing_then, extra_then), (differing, extra, missing), "whichever comes first");
    }

    #[test]
    fn changed_values_are_counted_exactly(told in outputs(), changed in prop::collection::btree_set(0usize..40, 0..40)) {
        let before = owned(&told);
        let mut after = before.clone();
        let changed: Vec<_> = changed.into_iter().filter(|at| *at < told.len()).collect();
        changed.iter().for_each(|at| after[*at].2 = [after[*at].2[0] + 100]);
        let found = differences(&leaving(&before), &leaving(&after));
        prop_assert_eq!(counts(&found), (changed.len(), 0, 0));
    }

    #[test]
    fn events_left_out_are_counted_exactly(length in 1usize..40, left_out in prop::collection::btree_set(0usize..40, 0..40)) {
        let before: Vec<_> = (0..length).map(|at| (at as i64, [(at % 3) as u8], [(at % 2) as u8])).collect();
        let after: Vec<_> = before.iter().enumerate().filter(|(at, _)| !left_out.contains(at)).map(|(_, one)| *one).collect();
        let found = differences(&leaving(&before), &leaving(&after));
        prop_assert_eq!(counts(&found), (0, before.len() - after.len(), 0));
    }
}
