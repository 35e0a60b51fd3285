//! Honest: `tally`, version 2. The state has the time of the key's newest event too; it emits what `tally` emits, and rewrites
//! its state into its own and back. The host says nothing.

use contract::tally::{Tally, Timed};

type It = Tally<Timed>;

contract::export!(It);
contract::export_migration!(It);
