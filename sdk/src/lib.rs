//! Write an operator for Gristmill.
// The attributes name this crate by its full name, also in its own tests.
extern crate self as gristmill_sdk;

#[doc(hidden)]
pub mod bindings;
mod column;
mod failure;
mod event;
mod codec;
pub mod map_key;
mod host;
pub mod log;
#[doc(hidden)]
pub mod part;
mod parameters;
mod input;
mod output;
mod metric;
mod state;
#[doc(hidden)]
pub mod operator;
#[doc(hidden)]
pub mod export;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::gristmill::operator::types::Context;
pub use event::{Batch, Event};
pub use failure::{Failure, OrFail, bad_record, fatal, transient};
pub use gristmill_sdk_macros::{data, operator, parameters};
pub use input::Input;
pub use metric::{Counter, Histogram};
pub use operator::{PerBatch, PerEvent, Rejected};
pub use output::{Output, RekeyedOutput, ValueWriter};
pub use parameters::Parameters;
pub use state::{List, ListItems, Map, MapEntries, Value};

#[doc(hidden)]
pub use {schemars, serde};

/// Everything that an operator usually names.
pub mod prelude {
    pub use crate::{
        Batch, Context, Counter, Event, Failure, Histogram, Input, List, Map, OrFail, Output, Parameters, PerBatch,
        PerEvent, Rejected, RekeyedOutput, Value, bad_record, data, fatal, log, operator, parameters, transient,
    };
}
