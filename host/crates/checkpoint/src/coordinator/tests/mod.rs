//! Promises of the coordinator, one by one. Long schedules are left to the simulation in `tests/sim`.

mod fixture;
mod beginning;
mod ending;
mod failing;
mod deciding;
mod keeping;
mod savepoints;
mod swapping;
