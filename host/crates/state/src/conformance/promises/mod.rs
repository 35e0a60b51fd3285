//! The promises of the state port, one function each.

mod reading;
mod calls;
mod refusals;
mod snapshots;
mod restoring;
mod lifetimes;

pub(crate) use calls::*;
pub(crate) use lifetimes::*;
pub(crate) use reading::*;
pub(crate) use refusals::*;
pub(crate) use restoring::*;
pub(crate) use snapshots::*;
