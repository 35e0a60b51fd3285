use gristmill_types::descriptor::{ClockKind, StateScope};

use super::*;

fn spec(name: &str, kind: StateKind, version: u32) -> StateSpec {
    let (scope, ttl_clock) = (StateScope::Keyed, ClockKind::EventTime);
    StateSpec { name: name.to_owned(), kind, scope, version, ttl_ms: None, ttl_clock }
}

fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const MAX: MaxParallelism = MaxParallelism::DEFAULT;

/// The states of one operator, laid beside those of its successor.
fn states(
    from: &[StateSpec],
    to: &[StateSpec],
    migrates: bool,
    dropped: &[&str],
) -> Result<Vec<StateFit>, Vec<Misfit>> {
    let op = node("op");
    let stored = Stored { node: &op, states: from, is_occupied: true };
    let declared = Declared { node: &op, states: to, migrates };
    let fits = fit((MAX, &[stored]), (MAX, &[declared]), &names(dropped))?;
    match &fits[..] {
        [NodeFit::Continued { states, .. }] => Ok(states.clone()),
        other => panic!("{other:?}"),
    }
}

fn same(state: &str) -> StateFit {
    StateFit::Same { state: state.to_owned() }
}

#[test]
fn states_are_found_by_their_names_whatever_their_order() {
    let (a, b) = (spec("a", StateKind::Value, 1), spec("b", StateKind::OrderedMap, 3));
    assert_eq!(states(&[a.clone(), b.clone()], &[b, a], false, &[]), Ok(vec![same("a"), same("b")]));
}

#[test]
fn a_time_to_live_may_change() {
    let before = spec("a", StateKind::Value, 1);
    let after = StateSpec { ttl_ms: Some(5), ttl_clock: ClockKind::ProcessingTime, ..before.clone() };
    assert_eq!(states(&[before], &[after], false, &[]), Ok(vec![same("a")]));
}

#[test]
fn another_version_or_kind_is_rewritten_by_a_module_that_can_and_refused_otherwise() {
    let from = [spec("a", StateKind::Value, 1)];
    for to in [spec("a", StateKind::Value, 2), spec("a", StateKind::OrderedMap, 1)] {
        let migrated = StateFit::Migrated {
            state: "a".to_owned(),
            from_version: 1,
            from_kind: StateKind::Value,
            to_version: to.version,
            to_kind: to.kind,
        };
        assert_eq!(states(&from, std::slice::from_ref(&to), true, &[]), Ok(vec![migrated]));
        let misfits = states(&from, &[to], false, &[]).unwrap_err();
        assert!(matches!(&misfits[..], [Misfit::NoMigration { .. }]), "{misfits:?}");
    }
}

#[test]
fn half_rewritten_state_is_rewritten_to_its_end() {
    let from = [spec("a", StateKind::Value, 1), spec("a", StateKind::Value, 2)];
    let fits = states(&from, &[spec("a", StateKind::Value, 2)], true, &[]).unwrap();
    assert!(matches!(&fits[..], [StateFit::Migrated { from_version: 1, to_version: 2, .. }]), "{fits:?}");
}

#[test]
fn a_state_that_is_gone_must_be_dropped_by_name() {
    let from = [spec("a", StateKind::Value, 1), spec("b", StateKind::Value, 1)];
    let to = [spec("b", StateKind::Value, 1), spec("c", StateKind::Value, 1)];
    let lost = Misfit::StateLost { node: node("op"), state: "a".to_owned() };
    assert_eq!(states(&from, &to, true, &[]), Err(vec![lost]));
    let fits = vec![StateFit::Dropped { state: "a".to_owned() }, same("b"), StateFit::New { state: "c".to_owned() }];
    assert_eq!(states(&from, &to, true, &["op.a"]), Ok(fits));
    let begun_anew = vec![StateFit::Dropped { state: "a".to_owned() }, StateFit::New { state: "a".to_owned() }];
    assert_eq!(states(&from[..1], &[spec("a", StateKind::Value, 7)], false, &["op.a"]), Ok(begun_anew));
}

#[test]
fn a_node_that_is_gone_must_be_dropped_by_name_unless_there_is_nothing_of_it() {
    let (gone, new) = (node("gone"), node("new"));
    let declared = [Declared { node: &new, states: &[], migrates: false }];
    let stored = |is_occupied| [Stored { node: &gone, states: &[], is_occupied }];
    let lost = Misfit::NodeLost { node: gone.clone(), near: vec![new.clone()] };
    assert_eq!(fit((MAX, &stored(true)), (MAX, &declared), &names(&[])), Err(vec![lost]));
    let fits = vec![NodeFit::Dropped { node: gone.clone() }, NodeFit::New { node: new.clone() }];
    assert_eq!(fit((MAX, &stored(true)), (MAX, &declared), &names(&["gone"])), Ok(fits.clone()));
    assert_eq!(fit((MAX, &stored(false)), (MAX, &declared), &names(&[])), Ok(fits));
}

#[test]
fn what_is_mistyped_and_what_has_other_key_groups_is_refused_at_once() {
    let misfits = fit((MAX, &[]), (MaxParallelism::try_from(64).unwrap(), &[]), &names(&["op.x"])).unwrap_err();
    let expected = [Misfit::KeyGroups { found: 128, declared: 64 }, Misfit::NothingToDrop { name: "op.x".to_owned() }];
    assert_eq!(misfits, expected);
    assert!(misfits[0].to_string().contains("max_parallelism: 128"));
}
