//! See the simulation in `tests/`.
