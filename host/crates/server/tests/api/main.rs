//! The API as a client sees it: requests against the router, over a catalog, a registry and parts in memory. Jobs really
//! run.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

mod requests;
mod access;
mod modules;
mod jobs;
mod checkpoints;
mod swaps;
mod rescale;
mod shadows;
mod canaries;
mod savepoints;
mod state;
mod dead_letters;
mod events;
mod description;
mod host;
