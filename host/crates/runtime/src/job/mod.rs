//! A running job as a whole.

pub mod state;
pub(crate) mod restart;
pub(crate) mod attempt;
pub(crate) mod shared;
pub mod spec;
pub mod handle;
pub mod replay;
pub mod prepare;
pub(crate) mod assemble;
pub(crate) mod helpers;
pub(crate) mod begin;
pub(crate) mod crew;
pub(crate) mod savepoints;
pub(crate) mod driver;
pub(crate) mod supervisor;
pub mod launch;
pub mod forget;
