//! `count`, version 2, whose `migrate` gives all entries to the key after the last.
//! The host must say: the key that is not there, and how many there are.

use contract::{Descriptor, Entries, Failure, Migration, Operator, StateKind, count};

struct MigrateOwners;

impl Operator for MigrateOwners {
    fn describe() -> Descriptor {
        count::descriptor(2, StateKind::Value)
    }
}

impl Migration for MigrateOwners {
    fn migrate(_: u32, _: u32, page: Entries) -> Result<Entries, Failure> {
        let beyond = page.keys.ends.len() as u32;
        Ok(Entries { owners: vec![beyond; page.owners.len()], ..page })
    }
}

contract::export!(MigrateOwners);
contract::export_migration!(MigrateOwners);
