//! One subtask: a chain of nodes and the thread that drives it.
//!
//! [`source_task`] and [`operator_task`] are the two loops; [`chain`] moves elements through the nodes; an
//! [`operator_node`] makes every call a transaction; a [`sink_node`] writes; [`cutting`] is what a barrier does.

pub(crate) mod surroundings;
pub(crate) mod operator_node;
pub(crate) mod sink_node;
pub(crate) mod draining;
pub(crate) mod chain;
pub(crate) mod cutting;
mod shadowing;
pub(crate) mod source_task;
pub(crate) mod operator_task;

#[cfg(test)]
mod fixture;
#[cfg(test)]
pub(crate) use fixture::NaiveState;
