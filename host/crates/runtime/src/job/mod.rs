//! A running job as a whole.

pub mod state;
pub(crate) mod shared;
pub mod handle;
pub mod launch;
pub mod prepare;
pub(crate) mod assemble;
