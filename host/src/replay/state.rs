//! Fills a state in memory with what a bundle says was there before the call.

use anyhow::Context;
use gristmill_ports::StateBackend;
use gristmill_ports::crash::{CrashBundle, StateBefore};
use gristmill_ports::state::{StateError, StateTime};
use gristmill_types::descriptor::StateKind;
use gristmill_types::{Column, Descriptor, EventBatch, StateIndex};

/// Fills it; gives in words what the module does not see as it was.
///
/// # Errors
/// If the state does not take what the bundle holds.
pub(super) fn fill(
    state: &mut dyn StateBackend,
    descriptor: &Descriptor,
    bundle: &CrashBundle,
) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    let time = StateTime { processing_ms: bundle.call.processing_time_ms, event_ms: bundle.call.watermark_ms };
    for before in bundle.states.iter().filter(|before| !before.entries.is_empty()) {
        let name = &before.state;
        let declared = descriptor.states.iter().enumerate().find(|(_, spec)| spec.name == *name);
        match declared {
            None => notes.push(format!("the module does not declare state `{name}`; its entries are left out")),
            Some((_, spec)) if spec.kind != before.kind => {
                notes.push(format!("the module declares state `{name}` in another shape; its entries are left out"));
            }
            Some((index, spec)) => {
                if spec.version != before.version {
                    notes.push(format!(
                        "state `{name}` holds entries of version {}, which the module declares in version {}; they are not \
                         migrated",
                        before.version, spec.version
                    ));
                }
                put(state, StateIndex(index as u32), before, time)
                    .with_context(|| format!("filling state `{name}` with what the bundle holds"))?;
            }
        }
    }
    Ok(notes)
}

fn put(
    state: &mut dyn StateBackend,
    index: StateIndex,
    before: &StateBefore,
    time: StateTime,
) -> Result<(), StateError> {
    let mut events = EventBatch::default();
    let (mut map_keys, mut values) = (Column::default(), Column::default());
    for entry in &before.entries {
        events.push(time.event_ms, Some(&entry.key), None);
        map_keys.push(Some(entry.map_key.as_deref().unwrap_or_default()));
        values.push(Some(&entry.value));
    }
    let rows: Vec<u32> = (0..before.entries.len() as u32).collect();
    state.begin(&events.hashed(), time);
    match before.kind {
        StateKind::Value => state.put(index, &rows, &values)?,
        StateKind::AppendList => state.list_append(index, &rows, &values)?,
        StateKind::OrderedMap => state.map_put(index, &rows, &map_keys, &values)?,
        // No host records any.
        StateKind::Accumulator => {}
    }
    state.commit()
}
