//! A running job as a whole.

pub mod state;
pub(crate) mod restart;
pub(crate) mod attempt;
pub mod spec;
pub mod modules;
pub(crate) mod shared;
pub mod handle;
pub mod replay;
pub mod prepare;
pub(crate) mod assemble;
pub mod swap_wish;
pub mod shadow_wish;
pub(crate) mod follower;
pub(crate) mod helpers;
pub(crate) mod origin;
pub(crate) mod begin;
pub(crate) mod crew;
pub(crate) mod savepoints;
pub(crate) mod swaps;
pub(crate) mod shadows;
pub(crate) mod driver;
pub(crate) mod supervisor;
pub mod launch;
pub mod forget;
