//! The contract of `wit/` as Rust types and functions: generated, and nothing else.
//!
//! The world below names every interface that this host knows. No guest has all of them: `surface` looks at what a
//! module has, and its exports are then looked up one by one through the generated `GuestIndices`.

mod generated {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        inline: "
            package gristmill:host;
            world everything {
                import gristmill:operator/log@0.1.0;
                import gristmill:operator/metrics@0.1.0;
                import gristmill:operator/state@0.1.0;
                import gristmill:operator/event-state@0.1.0;
                export gristmill:operator/guest@0.1.0;
                export gristmill:operator/processor@0.1.0;
                export gristmill:operator/event-handler@0.1.0;
                export gristmill:operator/migration@0.1.0;
                export gristmill:operator/inspection@0.1.0;
            }
        ",
        world: "gristmill:host/everything",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
    });
}

pub(crate) use generated::exports::gristmill::operator::{event_handler, guest, inspection, migration, processor};
pub(crate) use generated::gristmill::operator::{event_state, log, metrics, state, types};
