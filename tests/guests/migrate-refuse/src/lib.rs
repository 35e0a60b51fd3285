//! `count`, version 2, whose `migrate` says no.
//! The host must say: the guest's words; the job goes on with version 1.

use contract::{Descriptor, Entries, Failure, Migration, Operator, StateKind, count};

struct MigrateRefuse;

impl Operator for MigrateRefuse {
    fn describe() -> Descriptor {
        count::descriptor(2, StateKind::Value)
    }
}

impl Migration for MigrateRefuse {
    fn migrate(from: u32, to: u32, _: Entries) -> Result<Entries, Failure> {
        Err(Failure::Fatal(format!("there is no way from version {from} to version {to}")))
    }
}

contract::export!(MigrateRefuse);
contract::export_migration!(MigrateRefuse);
