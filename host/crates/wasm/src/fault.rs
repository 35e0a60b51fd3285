//! From wasmtime's errors to faults that people understand.

use gristmill_types::CallFailure;
use gristmill_types::failure::{FaultKind, GuestFault};
use wasmtime::{FrameInfo, FrameSymbol, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::deadline::Halt;
use crate::limits::{Denied, Footprint, Limits, TABLE_ELEMENTS};

/// Frames of a backtrace that are kept; a stack overflow has tens of thousands.
const FRAMES: usize = 32;

/// What wasmtime says when a guest handed over more bytes in one go than its host-call fuel. The type is private to
/// wasmtime; a test pins the words.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What wasmtime says when the first size of a memory is more than the guest's limit; likewise.
const NO_ROOM: &str = "exceeds memory limits";

/// Why the host stops a guest: in an import that it called, or at a look at its deadline.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The guest broke the contract.
    #[error("{0}")]
    Contract(String),
    /// The guest handed over more than its output limit.
    #[error("more than the output limit was handed over")]
    Output,
    /// The call took too long.
    #[error("the deadline is over")]
    Late,
    /// Nobody waits for the call any more.
    #[error("the job is over")]
    JobOver,
    /// The host could not do its part; the guest is not to blame.
    #[error("{0}")]
    Host(String),
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Late => Self::Late,
            Halt::JobOver => Self::JobOver,
        }
    }
}

/// A fault without a backtrace: something the host found in what a guest returned.
pub(crate) fn invalid(message: impl Into<String>) -> GuestFault {
    GuestFault { kind: FaultKind::InvalidResult, message: message.into(), backtrace: Vec::new() }
}

/// The fault of a call that returned more than it may.
pub(crate) fn over_output_limit(limits: &Limits) -> GuestFault {
    GuestFault {
        kind: FaultKind::OutputLimit,
        message: format!(
            "one call handed over more than {}; emit less in a call, or raise `limits.output`",
            in_words(limits.output_bytes)
        ),
        backtrace: Vec::new(),
    }
}

/// What became of a call that wasmtime ended with an error.
pub(crate) fn failure_of(error: &wasmtime::Error, limits: &Limits, footprint: &Footprint) -> CallFailure {
    let (kind, message) = match error.downcast_ref::<Stop>() {
        Some(Stop::Host(message)) => return CallFailure::Host(message.clone()),
        Some(Stop::Contract(message)) => (FaultKind::InvalidResult, message.clone()),
        Some(Stop::Output) => {
            let GuestFault { kind, message, .. } = over_output_limit(limits);
            (kind, message)
        }
        Some(Stop::Late) => (
            FaultKind::Deadline,
            format!("the call took longer than {:?}; do less in a call, or raise `limits.call`", limits.call),
        ),
        Some(stop @ Stop::JobOver) => (FaultKind::Deadline, stop.to_string()),
        None => classify(error, limits, footprint),
    };
    CallFailure::Fault(with_backtrace(GuestFault { kind, message, backtrace: Vec::new() }, error))
}

/// The fault of a guest that ended by itself, or by wasmtime. What it had been denied before may be the cause, so that
/// is told too; it is taken for the cause where the guest gave up by itself, as allocators do.
fn classify(error: &wasmtime::Error, limits: &Limits, footprint: &Footprint) -> (FaultKind, String) {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return (FaultKind::Trap, format!("the guest ended itself with exit code {}", exit.0));
    }
    let trap = error.downcast_ref::<Trap>().copied();
    let (kind, message) = match trap {
        Some(Trap::StackOverflow) => (FaultKind::Trap, "the guest's stack overflowed".to_owned()),
        Some(Trap::UnreachableCodeReached) => {
            (FaultKind::Trap, "the guest gave up: it panicked, aborted or reached `unreachable`".to_owned())
        }
        Some(trap) => (FaultKind::Trap, trap.to_string().trim_start_matches("wasm trap: ").to_owned()),
        None => {
            let cause = error.root_cause().to_string();
            if cause.contains(FUEL_EXHAUSTED) {
                let fault = over_output_limit(limits);
                return (fault.kind, fault.message);
            }
            let kind = if cause.contains(NO_ROOM) { FaultKind::Memory } else { FaultKind::InvalidResult };
            (kind, cause)
        }
    };
    let Some(denied) = footprint.denied() else { return (kind, message) };
    let gave_up = trap == Some(Trap::UnreachableCodeReached) && denied == Denied::Memory;
    let kind = if gave_up { FaultKind::Memory } else { kind };
    (kind, format!("{message}; {}", denied_in_words(denied, limits)))
}

fn denied_in_words(denied: Denied, limits: &Limits) -> String {
    match denied {
        Denied::Memory => format!(
            "it had been denied memory before: it wanted more than its {} of memory; raise `limits.memory`",
            in_words(limits.memory_bytes)
        ),
        Denied::Elements => format!("it had been denied room in its tables before: at most {TABLE_ELEMENTS} elements"),
    }
}

fn with_backtrace(mut fault: GuestFault, error: &wasmtime::Error) -> GuestFault {
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let frames = backtrace.frames();
        // The innermost frames may be the nameless shims of wit-component, which tell a guest's author nothing.
        let first_named = frames.iter().position(|frame| frame.func_name().is_some()).unwrap_or(0);
        fault.backtrace = frames[first_named..].iter().flat_map(frame_lines).take(FRAMES).collect();
    }
    fault
}

/// A frame in words; where the guest has debug information, a line for each function inlined there.
fn frame_lines(frame: &FrameInfo) -> Vec<String> {
    if frame.symbols().is_empty() {
        let name = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled);
        return vec![match frame.func_offset() {
            Some(offset) => format!("{name} + {offset:#x}"),
            None => name,
        }];
    }
    frame.symbols().iter().map(|symbol| symbol_line(symbol, frame)).collect()
}

fn symbol_line(symbol: &FrameSymbol, frame: &FrameInfo) -> String {
    let name = symbol.name().or(frame.func_name()).map_or_else(|| "a function without a name".to_owned(), demangled);
    match (symbol.file(), symbol.line()) {
        (Some(file), Some(line)) => format!("{name} at {file}:{line}"),
        (Some(file), None) => format!("{name} at {file}"),
        (None, _) => name,
    }
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Bytes as people write them in a job document.
pub(crate) fn in_words(bytes: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let exact = UNITS.iter().find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size));
    exact.map_or_else(|| format!("{bytes} bytes"), |(size, unit)| format!("{} {unit}", bytes / size))
}
