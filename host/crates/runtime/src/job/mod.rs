//! A running job as a whole.

pub mod state;
pub(crate) mod shared;
pub mod handle;
pub mod spec;
pub mod prepare;
pub(crate) mod assemble;
pub mod launch;
