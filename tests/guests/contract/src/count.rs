//! The state of the guest `count`, for those that would take it over: `counts`, in version 1 a value of eight bytes.

use crate::{Descriptor, StateKind};

/// The only state.
pub const COUNTS: u32 = 0;

/// One keyed input, one output that keeps the key, and `counts` in this version.
pub fn descriptor(version: u32, kind: StateKind) -> Descriptor {
    let mut descriptor = crate::keyed_descriptor(&[("counts", kind)]);
    descriptor.states[0].version = version;
    descriptor
}

/// The same, with one parameter, a whole number.
pub fn descriptor_with(version: u32, parameter: &str, default: u64) -> Descriptor {
    let parameters_schema = crate::descriptor_with(parameter, default).parameters_schema;
    Descriptor { parameters_schema, ..descriptor(version, StateKind::Value) }
}
