//! Honest: counts by key and emits the count as decimal text; the count is eight bytes. Takes over from `tally-timed`, and
//! gives way to it. An entry that is not of its version is `fatal`: nothing of a swap by halves goes unseen.
//! The host says nothing.

use contract::tally::{Plain, Tally};

type It = Tally<Plain>;

contract::export!(It);
contract::export_migration!(It);
