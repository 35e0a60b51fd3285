//! Opens the instance as it was opened, and makes the call.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use gristmill_dataflow::environment::resolve_parameters;
use gristmill_ports::clock::ManualClock;
use gristmill_ports::crash::CrashBundle;
use gristmill_ports::module_registry::{ModuleRegistry, PrepareOptions, Prepared};
use gristmill_ports::state::StateTime;
use gristmill_ports::telemetry::{GuestLog, LogLevel};
use gristmill_ports::veil::Secrets;
use gristmill_ports::{Call, OperatorContext, Signal, StateBackend, Veil};
use gristmill_types::failure::GuestFault;
use gristmill_types::{CallFailure, KeyGroupRange, ModuleHash, Outcome};
use serde_json::Value;

use crate::replay::state::fill;
use crate::wiring;

/// A call that was made again.
pub(crate) struct Replayed {
    pub(crate) bundle: CrashBundle,
    /// The module that it was made with.
    pub(crate) module: ModuleHash,
    /// Names of its output ports.
    pub(crate) ports: Vec<String>,
    /// In what it was not the same call, in words.
    pub(crate) notes: Vec<String>,
    /// What the guest logged.
    pub(crate) log: Vec<(LogLevel, String)>,
    pub(crate) ending: Ending,
}

/// How it ended.
pub(crate) enum Ending {
    /// It does not fail any more.
    Passed(Outcome),
    /// With the fault that it ended in before; the backtrace may be another one.
    AsBefore(GuestFault),
    /// In another way.
    Otherwise(CallFailure),
}

impl Ending {
    /// A bundle has secrets put back to their placeholders.
    fn of(result: Result<Outcome, CallFailure>, before: &GuestFault, secrets: &Secrets) -> Self {
        let hidden = |fault: GuestFault| GuestFault { message: secrets.hide(&fault.message), ..fault };
        let result = result.map_err(|failure| match failure {
            CallFailure::Fault(fault) => CallFailure::Fault(hidden(fault)),
            other => other,
        });
        match result {
            Ok(outcome) => Self::Passed(outcome),
            Err(CallFailure::Fault(fault)) if fault.kind == before.kind && fault.message == before.message => {
                Self::AsBefore(fault)
            }
            Err(failure) => Self::Otherwise(failure),
        }
    }
}

/// Makes the call of a bundle with this module.
///
/// # Errors
/// If the module is not admitted, or the parameters do not fit it.
pub(super) fn make_again(
    bundle: CrashBundle,
    code: &[u8],
    module: ModuleHash,
    cache: &Path,
) -> anyhow::Result<Replayed> {
    let mut notes = notes(&bundle);
    let secrets = Secrets::default();
    let prepared = prepare(&bundle, code, cache, &secrets)?;
    let descriptor = prepared.factory.descriptor().clone();
    if bundle.input.at() >= descriptor.inputs.len() {
        return Err(anyhow!("the events came in by input {}, which the module does not have", bundle.input));
    }
    let max = bundle.instance.max_parallelism;
    // Whatever keys the bundle holds.
    let groups = KeyGroupRange { start: 0, end: u16::try_from(max.get()).unwrap_or(u16::MAX) };
    let mut state = wiring::state_in_memory(&descriptor, groups, max);
    notes.extend(fill(&mut *state, &descriptor, &bundle)?);
    let log = Arc::new(Lines::default());
    let result = call(&bundle, &prepared, &mut state, &log);
    let ending = Ending::of(result, &bundle.fault, &secrets);
    let ports = descriptor.outputs.into_iter().map(|output| output.name).collect();
    let log = std::mem::take(&mut *log.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Replayed { bundle, module, ports, notes, log, ending })
}

fn notes(bundle: &CrashBundle) -> Vec<String> {
    let mut notes = bundle.left_out.iter().map(|what| format!("not in the bundle: {what}")).collect::<Vec<_>>();
    let calls = bundle.instance.calls;
    if calls > 0 {
        notes.push(format!(
            "the instance that failed had handled {calls} calls before; what they left in its memory is not in the bundle"
        ));
    }
    notes
}

fn prepare(bundle: &CrashBundle, code: &[u8], cache: &Path, secrets: &Secrets) -> anyhow::Result<Prepared> {
    let parameters: Value = serde_json::from_str(&bundle.instance.parameters).context("reading the parameters")?;
    let noted = |name: &str| std::env::var(name).ok().inspect(|value| secrets.note(name, value));
    let parameters = resolve_parameters(parameters, noted);
    let parameters = parameters.map_err(|problems| {
        let said: Vec<String> = problems.iter().map(|problem| format!("{}: {}", problem.at, problem.message)).collect();
        anyhow!("{}; give the command the variables that the host had", said.join("; "))
    })?;
    let limits = &bundle.instance.limits;
    let options = PrepareOptions {
        parameters: Some(parameters).filter(|parameters| parameters.as_object().is_none_or(|map| !map.is_empty())),
        memory_bytes: limits.memory_bytes,
        call: limits.call,
        output_bytes: limits.output_bytes,
        log_bytes: limits.log_bytes,
    };
    wiring::modules(cache)?.prepare(code, &options).map_err(|refusal| anyhow!("the module cannot be used: {refusal}"))
}

fn call(
    bundle: &CrashBundle,
    prepared: &Prepared,
    state: &mut Box<dyn StateBackend>,
    log: &Arc<Lines>,
) -> Result<Outcome, CallFailure> {
    let instance = &bundle.instance;
    let clock = ManualClock::default();
    clock.advance(Duration::from_millis(u64::try_from(instance.opened_ms).unwrap_or(0)));
    let context = OperatorContext {
        job: bundle.job.clone(),
        operator: bundle.operator.clone(),
        subtask: instance.subtask,
        parallelism: instance.parallelism,
        max_parallelism: instance.max_parallelism,
        key_groups: instance.max_parallelism.owned_by(instance.subtask, instance.parallelism),
        keys_in_place: instance.keys_in_place,
        parameters: prepared.parameters.clone(),
        written_parameters: None,
        log: Arc::<Lines>::clone(log),
        clock: Arc::new(clock),
        seed: instance.seed,
        interrupt: Signal::default(),
    };
    let mut operator = prepared.factory.open(context)?;
    let call = Call::from(bundle.call);
    state.begin(&bundle.events, StateTime { processing_ms: call.processing_time_ms, event_ms: call.watermark.0 });
    operator.process(&call, bundle.input, &bundle.events, state)
}

/// What the guest logs.
#[derive(Default)]
struct Lines(Mutex<Vec<(LogLevel, String)>>);

impl GuestLog for Lines {
    fn line(&self, level: LogLevel, _: Option<u32>, message: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((level, message.to_owned()));
    }

    fn dropped(&self, lines: u64) {
        self.line(LogLevel::Warn, None, &format!("{lines} lines were dropped: the operator is over its log limit"));
    }
}
