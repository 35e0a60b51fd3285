//! The empty world of WASI (rule 3): toolchains link files, environment and sockets whether the author uses them or
//! not, so they are there, and there is nothing in them. What is written to stdout and stderr becomes log lines.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gristmill_ports::telemetry::LogLevel;
use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::clocks::{WasiClocksCtx, WasiClocksCtxView};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamError};
use wasmtime_wasi::{HostMonotonicClock, WasiCtx, WasiView};

use crate::guest_data::GuestData;
use crate::guest_time::GuestTime;
use crate::log_gate::{LINE_BYTES, LogGate};

/// Random bytes that a guest may ask for at once.
const RANDOM_BYTES: u64 = 1 << 20;

/// Bytes that a guest may write to a stream at once.
const WRITE_BYTES: usize = 64 << 10;

/// A world without files, arguments, environment and network; with the host's time and seeded randomness.
pub(crate) fn empty_world(log: &Arc<Mutex<LogGate>>, time: &GuestTime, seed: u64) -> WasiCtx {
    WasiCtx::builder()
        .stdout(LogStream::new(log, LogLevel::Info))
        .stderr(LogStream::new(log, LogLevel::Warn))
        .wall_clock(time.clone())
        .monotonic_clock(time.clone())
        .secure_random(StdRng::seed_from_u64(seed))
        .insecure_random(StdRng::seed_from_u64(!seed))
        .insecure_random_seed(u128::from(seed))
        .max_random_size(RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// Links WASI 0.2, with a monotonic clock of our own.
pub(super) fn add_to_linker(linker: &mut Linker<GuestData>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<GuestData, SteppingClock>(linker, |data| SteppingClockView {
        time: data.time.clone(),
        view: {
            let wasmtime_wasi::WasiCtxView { ctx, table } = data.ctx();
            (ctx.clocks(), table)
        },
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Marks the monotonic clock for the linker.
struct SteppingClock;

impl HasData for SteppingClock {
    type Data<'a> = SteppingClockView<'a>;
}

/// The monotonic clock during a call of one of its functions.
struct SteppingClockView<'a> {
    time: GuestTime,
    view: (&'a mut WasiClocksCtx, &'a mut ResourceTable),
}

impl SteppingClockView<'_> {
    /// Something to wait for that has already happened.
    fn already(&mut self) -> wasmtime::Result<Resource<DynPollable>> {
        let (ctx, table) = &mut self.view;
        monotonic_clock::Host::subscribe_duration(&mut WasiClocksCtxView { ctx, table }, 0)
    }
}

impl monotonic_clock::Host for SteppingClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(HostMonotonicClock::now(&self.time))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(HostMonotonicClock::resolution(&self.time))
    }

    /// Sleeping takes no time: the guest's clock jumps to the moment it wants to wait for.
    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.time.sleep_until(when);
        self.already()
    }

    fn subscribe_duration(&mut self, span: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.time.sleep_for(span);
        self.already()
    }
}

/// stdout or stderr, split into lines for the operator's log. Clones write to the same line.
#[derive(Clone)]
struct LogStream(Arc<Mutex<PartialLine>>);

struct PartialLine {
    gate: Arc<Mutex<LogGate>>,
    level: LogLevel,
    text: Vec<u8>,
}

impl LogStream {
    fn new(gate: &Arc<Mutex<LogGate>>, level: LogLevel) -> Self {
        Self(Arc::new(Mutex::new(PartialLine { gate: Arc::clone(gate), level, text: Vec::new() })))
    }
}

impl PartialLine {
    fn append(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES.saturating_sub(self.text.len());
            self.text.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.text);
        let line = line.trim_end();
        if !line.is_empty() {
            self.gate.lock().unwrap_or_else(PoisonError::into_inner).line(self.level, None, line);
        }
        self.text.clear();
    }
}

impl Drop for PartialLine {
    fn drop(&mut self) {
        self.end_line();
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Only WASI 0.3 asks for this, which is not linked; a pipe without room stands in its place.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        StdoutStream::async_stream(&MemoryOutputPipe::new(0))
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}
