//! What is done about a failed call (contract, rule 17). Pure: the failure goes in, the reaction comes out.

pub(crate) mod bisection;
pub(crate) mod reaction;
