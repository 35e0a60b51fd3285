//! The promises of the state port, one function each.

mod reading;
mod calls;
mod refusals;
mod snapshots;

pub(crate) use calls::*;
pub(crate) use reading::*;
pub(crate) use refusals::*;
pub(crate) use snapshots::*;
