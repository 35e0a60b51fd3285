//! One store with one guest in it, and the only place where a guest is called: under its deadline, its limits counted
//! anew, its errors turned into failures.

use std::sync::Arc;

use gristmill_types::CallFailure;
use wasmtime::component::Instance as Raw;
use wasmtime::{Store, UpdateDeadline};

use crate::bindings::{event_handler, guest, inspection, migration, processor};
use crate::fault::{Stop, failure_of};
use crate::guest_data::{GuestData, Phase, Provisions};
use crate::imports::empty_world;
use crate::module::{Exports, Module};

/// A live guest.
pub(crate) struct Instance {
    store: Store<GuestData>,
    module: Arc<Module>,
    pub(crate) calls: Calls,
}

/// The guest's functions, interface by interface; absent what the module does not export.
pub(crate) struct Calls {
    pub(crate) guest: Option<guest::Guest>,
    pub(crate) processor: Option<processor::Guest>,
    pub(crate) event_handler: Option<event_handler::Guest>,
    pub(crate) migration: Option<migration::Guest>,
    pub(crate) inspection: Option<inspection::Guest>,
}

impl Instance {
    /// Makes an instance; start code of the guest runs under the limits of a call.
    ///
    /// # Errors
    /// How the start failed.
    pub(crate) fn new(module: &Arc<Module>, provisions: Provisions) -> Result<Self, CallFailure> {
        let now_ms = provisions.clock.now_ms();
        let data = GuestData::new(Arc::clone(&module.engine), provisions, empty_world);
        let mut store = Store::new(&module.engine.wasm, data);
        store.limiter(|data| &mut data.footprint);
        store.set_hostcall_fuel(store.data().limits.output_bytes);
        store.epoch_deadline_callback(|context| match context.data().next_slice() {
            Ok(ticks) => Ok(UpdateDeadline::Continue(ticks)),
            Err(halt) => Err(Stop::from(halt).into()),
        });
        store.data_mut().start_deadline();
        let calls = call(&mut store, module, Phase::Outside, now_ms, |store| {
            let raw = module.linked.instantiate(&mut *store)?;
            Calls::of(&module.exports, store, &raw)
        })?;
        Ok(Self { store, module: Arc::clone(module), calls })
    }

    /// Lets the deadline begin that the next calls share.
    pub(crate) fn start_deadline(&mut self) {
        self.data().start_deadline();
    }

    /// Calls the guest under the deadline begun last. After an error the instance must not be used again.
    ///
    /// # Errors
    /// How the call failed, if it did not return.
    pub(crate) fn call<R>(
        &mut self,
        phase: Phase,
        processing_time_ms: i64,
        f: impl FnOnce(&Calls, &mut Store<GuestData>) -> wasmtime::Result<R>,
    ) -> Result<R, CallFailure> {
        let Self { store, module, calls } = self;
        call(store, module, phase, processing_time_ms, |store| f(calls, store))
    }

    /// The data of the store.
    pub(crate) fn data(&mut self) -> &mut GuestData {
        self.store.data_mut()
    }
}

impl Calls {
    fn of(exports: &Exports, store: &mut Store<GuestData>, raw: &Raw) -> wasmtime::Result<Self> {
        let Exports { guest, processor, event_handler, migration, inspection } = exports;
        Ok(Self {
            guest: guest.as_ref().map(|indices| indices.load(&mut *store, raw)).transpose()?,
            processor: processor.as_ref().map(|indices| indices.load(&mut *store, raw)).transpose()?,
            event_handler: event_handler.as_ref().map(|indices| indices.load(&mut *store, raw)).transpose()?,
            migration: migration.as_ref().map(|indices| indices.load(&mut *store, raw)).transpose()?,
            inspection: inspection.as_ref().map(|indices| indices.load(&mut *store, raw)).transpose()?,
        })
    }
}

fn call<R>(
    store: &mut Store<GuestData>,
    module: &Module,
    phase: Phase,
    processing_time_ms: i64,
    f: impl FnOnce(&mut Store<GuestData>) -> wasmtime::Result<R>,
) -> Result<R, CallFailure> {
    store.data_mut().begin_call(phase, processing_time_ms);
    let in_flight = module.engine.ticker.begin_call();
    let result = match store.data().next_slice() {
        Ok(ticks) => {
            store.set_epoch_deadline(ticks);
            f(store)
        }
        Err(halt) => Err(Stop::from(halt).into()),
    };
    drop(in_flight);
    let data = store.data_mut();
    data.phase = Phase::Outside;
    result.map_err(|error| failure_of(&error, &data.limits, &data.footprint))
}
