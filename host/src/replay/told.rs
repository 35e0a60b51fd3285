//! A call that was made again, as JSON: what went in, what came out, how it ended.

use gristmill_ports::crash::CrashBundle;
use gristmill_server::api_types::Payload;
use gristmill_types::{CallFailure, Emission, EventBatch, Outcome, Rejection, Rows};
use serde_json::{Value, json};

use crate::replay::again::{Ending, Replayed};

/// Events that are shown at most, of those that went in and of each port.
const SHOWN: usize = 20;

/// All that there is to say.
pub(crate) fn told(replayed: &Replayed) -> Value {
    let Replayed { bundle, module, ports, notes, log, ending } = replayed;
    let CrashBundle { job, operator, fault, instance, events, states, .. } = bundle;
    let entries: usize = states.iter().map(|state| state.entries.len()).sum();
    let at =
        jiff::Timestamp::from_millisecond(bundle.at_ms).map_or_else(|_| bundle.at_ms.to_string(), |at| at.to_string());
    let before = json!({"kind": fault.kind.as_str(), "message": fault.message, "backtrace": fault.backtrace});
    let log: Vec<Value> = log.iter().map(|(level, line)| json!({"level": level.as_str(), "message": line})).collect();
    json!({
        "bundle": bundle.name().as_str(), "job": job, "operator": operator, "subtask": instance.subtask, "at": at,
        "module": bundle.module, "replayed_with": module, "fault": before, "input": bundle.input,
        "watermark_ms": bundle.call.watermark_ms, "processing_time_ms": bundle.call.processing_time_ms,
        "count": events.len(), "events": shown(events), "entries": entries, "notes": notes, "log": log,
        "ending": ended(ending, bundle, ports),
    })
}

fn ended(ending: &Ending, bundle: &CrashBundle, ports: &[String]) -> Value {
    match ending {
        Ending::Passed(outcome) => passed(outcome, &bundle.events, ports),
        Ending::AsBefore(fault) => json!({
            "how": "fails-as-before", "message": fault.to_string(), "backtrace": fault.backtrace,
            "same_backtrace": fault.backtrace == bundle.fault.backtrace,
        }),
        Ending::Otherwise(CallFailure::Fault(fault)) => {
            json!({"how": "fails-otherwise", "message": fault.to_string(), "backtrace": fault.backtrace})
        }
        Ending::Otherwise(
            failure @ (CallFailure::BadRecord(_)
            | CallFailure::Transient(_)
            | CallFailure::Fatal(_)
            | CallFailure::Host(_)),
        ) => json!({"how": "fails-otherwise", "message": failure.to_string(), "backtrace": []}),
    }
}

fn passed(outcome: &Outcome, events: &EventBatch, ports: &[String]) -> Value {
    let emission = |Emission { port, rows }: &Emission| {
        let left = match rows {
            Rows::All => events.clone(),
            Rows::Selected(rows) => events.gather(rows),
            Rows::Mapped { rows, values } => events.gather_with_values(rows, values.clone()),
            Rows::Created(created) => created.clone(),
        };
        json!({"port": ports.get(port.at()), "count": left.len(), "events": shown(&left)})
    };
    let emissions: Vec<Value> = outcome.emissions.iter().map(emission).collect();
    let rejection = |Rejection { row, reason }: &Rejection| json!({"row": row, "reason": reason});
    let rejections: Vec<Value> = outcome.rejections.iter().map(rejection).collect();
    json!({"how": "passes", "emissions": emissions, "rejections": rejections})
}

/// The first events of a batch.
fn shown(events: &EventBatch) -> Vec<Value> {
    let payload = |bytes: Option<&[u8]>| bytes.map(|bytes| Payload::from(bytes.to_vec()));
    let event = |row: usize| {
        let (key, value) = (payload(events.keys().get(row)), payload(events.values().get(row)));
        json!({"timestamp": events.timestamps()[row], "key": key, "value": value})
    };
    (0..events.len().min(SHOWN)).map(event).collect()
}
