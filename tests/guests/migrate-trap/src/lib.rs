//! `count`, version 2, whose `migrate` traps at the entry `at` (parameter; default 1 000) that an instance sees.
//! The host must say: the trap, with its backtrace; the job goes on with version 1.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use contract::{Descriptor, Entries, Failure, Migration, Operator, count};

/// Entries until then.
static LEFT: AtomicU64 = AtomicU64::new(0);

struct MigrateTrap;

impl Operator for MigrateTrap {
    fn describe() -> Descriptor {
        count::descriptor_with(2, "at", 1000)
    }

    fn open(parameters: String) -> Result<(), Failure> {
        LEFT.store(contract::parameter(&parameters, "at")?, Relaxed);
        Ok(())
    }
}

impl Migration for MigrateTrap {
    fn migrate(_: u32, _: u32, page: Entries) -> Result<Entries, Failure> {
        for _ in &page.owners {
            if LEFT.fetch_sub(1, Relaxed) <= 1 {
                unreachable!("an entry too many")
            }
        }
        Ok(page)
    }
}

contract::export!(MigrateTrap);
contract::export_migration!(MigrateTrap);
