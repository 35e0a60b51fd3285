//! The output of one call of an operator and of its shadow, laid side by side. Pure.
//!
//! An event of one is laid beside the event of the other that has the same key and time, the first of these beside the
//! first. Where keys or times were changed, and as many events came, an event lies beside the one in its place instead, if
//! fewer differ so.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gristmill_types::{EventBatch, PortIndex};

/// One event of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaving<'a> {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

/// How an event differs, by its places in both outputs of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    Differing { primary: usize, shadow: usize },
    Missing { primary: usize },
    Extra { shadow: usize },
}

/// What left by one call, batch by batch.
pub(crate) type Output = [(PortIndex, Arc<EventBatch>)];

/// What left through one port, and how it differs.
pub(crate) struct Laid<'a> {
    pub(crate) port: PortIndex,
    pub(crate) primary: Vec<Leaving<'a>>,
    pub(crate) shadow: Vec<Leaving<'a>>,
    pub(crate) differences: Vec<Difference>,
}

/// The ports through which something differs; none if both outputs are the same.
pub(crate) fn lay_beside<'a>(primary: &'a Output, shadow: &'a Output) -> Vec<Laid<'a>> {
    if primary.len() == shadow.len() && primary.iter().zip(shadow).all(|(one, other)| is_same(one, other)) {
        return Vec::new();
    }
    let (mut before, mut after) = (by_port(primary), by_port(shadow));
    for port in before.keys() {
        after.entry(*port).or_default();
    }
    let lay = |(port, shadow): (PortIndex, Vec<Leaving<'a>>)| {
        let primary = before.remove(&port).unwrap_or_default();
        let differences = differences(&primary, &shadow);
        (!differences.is_empty()).then_some(Laid { port, primary, shadow, differences })
    };
    after.into_iter().filter_map(lay).collect()
}

fn is_same(one: &(PortIndex, Arc<EventBatch>), other: &(PortIndex, Arc<EventBatch>)) -> bool {
    let ((one_port, one), (other_port, other)) = (one, other);
    one_port == other_port
        && (Arc::ptr_eq(one, other)
            || (one.timestamps() == other.timestamps() && one.keys() == other.keys() && one.values() == other.values()))
}

fn by_port(output: &Output) -> BTreeMap<PortIndex, Vec<Leaving<'_>>> {
    let mut ports: BTreeMap<PortIndex, Vec<Leaving<'_>>> = BTreeMap::new();
    for (port, events) in output {
        let columns = events.timestamps().iter().zip(events.keys().iter()).zip(events.values().iter());
        let leaving = columns.map(|((timestamp, key), value)| Leaving { timestamp: *timestamp, key, value });
        ports.entry(*port).or_default().extend(leaving);
    }
    ports
}

/// How two outputs of a port differ, in the order of their places.
pub(crate) fn differences(primary: &[Leaving<'_>], shadow: &[Leaving<'_>]) -> Vec<Difference> {
    let by_origin = by_origin(primary, shadow);
    if primary.len() != shadow.len() || by_origin.is_empty() {
        return by_origin;
    }
    let in_place: Vec<_> = (0..primary.len())
        .filter(|&at| primary[at] != shadow[at])
        .map(|at| Difference::Differing { primary: at, shadow: at })
        .collect();
    // The same events in another order differ as well.
    if in_place.len() <= by_origin.len() { in_place } else { by_origin }
}

/// The places of events of one key and time, in both outputs.
type Places = (Vec<usize>, Vec<usize>);

fn by_origin(primary: &[Leaving<'_>], shadow: &[Leaving<'_>]) -> Vec<Difference> {
    let mut origins: HashMap<(i64, Option<&[u8]>), Places> = HashMap::new();
    for (at, event) in primary.iter().enumerate() {
        origins.entry((event.timestamp, event.key)).or_default().0.push(at);
    }
    for (at, event) in shadow.iter().enumerate() {
        origins.entry((event.timestamp, event.key)).or_default().1.push(at);
    }
    let mut found = Vec::new();
    for (mut ours, mut theirs) in origins.into_values() {
        if ours.len() != theirs.len() {
            pair_equals(primary, shadow, &mut ours, &mut theirs);
        }
        let paired = ours.len().min(theirs.len());
        let pairs = ours.iter().zip(&theirs).filter(|(one, other)| primary[**one] != shadow[**other]);
        found.extend(pairs.map(|(&primary, &shadow)| Difference::Differing { primary, shadow }));
        found.extend(ours[paired..].iter().map(|&primary| Difference::Missing { primary }));
        found.extend(theirs[paired..].iter().map(|&shadow| Difference::Extra { shadow }));
    }
    found.sort_unstable_by_key(|one| match *one {
        Difference::Differing { primary, .. } | Difference::Missing { primary } => (primary, 0),
        Difference::Extra { shadow } => (shadow, 1),
    });
    found
}

/// Takes out of both lists what has an equal in the other.
fn pair_equals(primary: &[Leaving<'_>], shadow: &[Leaving<'_>], ours: &mut Vec<usize>, theirs: &mut Vec<usize>) {
    let mut values: HashMap<Option<&[u8]>, Vec<usize>> = HashMap::new();
    // The first on top.
    theirs.iter().rev().for_each(|at| values.entry(shadow[*at].value).or_default().push(*at));
    let mut paired = Vec::new();
    ours.retain(|at| match values.get_mut(&primary[*at].value).and_then(Vec::pop) {
        Some(equal) => {
            paired.push(equal);
            false
        }
        None => true,
    });
    paired.sort_unstable();
    theirs.retain(|at| paired.binary_search(at).is_err());
}

#[cfg(test)]
mod tests;
