//! How stream elements get from subtask to subtask.
//!
//! Every subtask has one [`inbox::Inbox`] with a bounded queue for each channel that leads to it; the sending side of
//! an exchange is a [`writer::ExchangeWriter`]. A full channel stops its sender: that is the backpressure.

pub(crate) mod heard;
mod channel;
pub(crate) mod inbox;
pub(crate) mod keys;
pub(crate) mod writer;
