//! How wasmtime is set up here, and the ticker that goes with it.

use std::hash::{DefaultHasher, Hash, Hasher};

use wasmtime::{Config, Engine, OptLevel, Strategy, WasmBacktraceDetails};

use crate::ticker::Ticker;

/// Native stack that a guest may use, in bytes. A thread that calls guests needs this and about 1 MiB of its own:
/// the 2 MiB that Rust gives to threads will do.
const GUEST_STACK_BYTES: usize = 1 << 20;

/// The engine in which all guests of a host are compiled and run.
pub(crate) struct GuestEngine {
    pub(crate) wasm: Engine,
    pub(crate) ticker: Ticker,
}

impl GuestEngine {
    /// Sets up the engine and starts its ticker.
    ///
    /// # Errors
    /// If this machine cannot run compiled guests, in words.
    pub(crate) fn new() -> Result<Self, String> {
        let wasm = Engine::new(&config()).map_err(|error| format!("the Wasm engine does not start: {error:#}"))?;
        let ticker = Ticker::start(wasm.clone()).map_err(|error| format!("no thread for deadlines: {error}"))?;
        Ok(Self { wasm, ticker })
    }

    /// A short text that is the same for engines which can run each other's compiled code.
    pub(crate) fn compatibility_tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.wasm.precompile_compatibility_hash().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Component-model async costs more than a microsecond a call, and no interface of ours is async.
        .concurrency_support(false)
        .epoch_interruption(true)
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(GUEST_STACK_BYTES)
        // A guest's result must not depend on the processor that it happens to run on.
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .shared_memory(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config
}
