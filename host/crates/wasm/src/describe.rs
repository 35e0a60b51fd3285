//! Asks a module what it is, in a sandbox (rule 2): no state, no metrics, no log, and limits of its own.

use std::sync::Arc;
use std::time::Duration;

use gristmill_ports::Signal;
use gristmill_ports::clock::{Clock, ManualClock};
use gristmill_ports::module_registry::Refusal;
use gristmill_ports::telemetry::Silent;
use gristmill_types::{CallFailure, Descriptor};

use crate::descriptor::of_event_handler;
use crate::guest_data::{Phase, Provisions};
use crate::instance::Instance;
use crate::limits::Limits;
use crate::log_gate::cut;
use crate::module::Module;
use crate::refusal::{BAD_DESCRIPTOR, refuse};

/// The limits of the sandbox. Interpreted languages start slowly, and are large.
const SANDBOX: Limits =
    Limits { memory_bytes: 256 << 20, call: Duration::from_secs(5), output_bytes: 1 << 20, log_bytes: 0 };

/// What the module declares. It is asked twice, in two fresh instances with other random numbers and another time, and
/// must say the same.
///
/// # Errors
/// If it does not answer, or not the same.
pub(crate) fn describe(module: &Arc<Module>) -> Result<Descriptor, Refusal> {
    if module.exports.guest.is_none() {
        return Ok(of_event_handler());
    }
    let (first, second) = (ask(module, 1)?, ask(module, 2)?);
    if first != second {
        let sentence = "`describe` answered differently in two fresh instances; a descriptor must not depend on time, \
                        randomness or globals";
        return Err(refuse(BAD_DESCRIPTOR, sentence));
    }
    Ok(first)
}

fn ask(module: &Arc<Module>, seed: u64) -> Result<Descriptor, Refusal> {
    let clock = ManualClock::default();
    clock.advance(Duration::from_secs(seed));
    let now_ms = clock.now_ms();
    let provisions = Provisions {
        limits: SANDBOX,
        log: Arc::new(Silent),
        clock: Arc::new(clock),
        seed,
        metrics: 0,
        interrupt: Signal::default(),
    };
    let mut instance = Instance::new(module, provisions).map_err(|failure| did_not("start", &failure))?;
    instance.start_deadline();
    let said = instance
        .call(Phase::Outside, now_ms, |calls, store| {
            let guest = calls.guest.as_ref().expect("only modules that export `guest` are asked");
            guest.call_describe(store)
        })
        .map_err(|failure| did_not("answer `describe`", &failure))?;
    Ok(said.into())
}

fn did_not(what: &str, failure: &CallFailure) -> Refusal {
    let mut refusal =
        refuse(BAD_DESCRIPTOR, format!("the module did not {what} in the sandbox: {}", cut(&failure.to_string())));
    if let CallFailure::Fault(fault) = failure {
        refusal.details.clone_from(&fault.backtrace);
    }
    refusal
}
