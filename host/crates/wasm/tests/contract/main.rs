//! The rules of the contract that are kept in this crate, each shown on guests that keep or break it.
//!
//! Guests are written in the text format around an image of their memory (`guest.rs`), so that a test can return to
//! the host whatever bytes it likes. Rules are numbered as in the contract.

mod guest;
mod broken;
mod fixture;

mod admission;
mod results;
mod crossing;
mod state;
mod scans;
mod limits;
mod bounds;
mod life;
mod migration;
mod migrated;
mod versions;
mod inspection;
mod wasip1;
mod events;
