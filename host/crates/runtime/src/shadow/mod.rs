//! A shadow: another module runs on what an operator got, with a state of its own, and only a report leaves it.
//!
//! Here is what is pure or shared: the report, the comparison, the books, and the queue between an operator and its shadow.
//! Who fills a shadow's state and calls it is `job/follower.rs`; when, is `job/shadows.rs`.

mod report;
pub(crate) mod compare;
pub(crate) mod tally;
pub(crate) mod tee;
pub(crate) mod words;

pub use report::{ShadowCounts, ShadowEvent, ShadowFailure, ShadowPolicy, ShadowReport, ShadowSample, ShadowStage};
pub(crate) use words::{Shadow, ShadowControl, ShadowTold, ShadowWanted};
