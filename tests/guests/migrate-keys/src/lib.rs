//! `count`, version 2, whose `migrate` answers each key twice.
//! The host must say: a key that is not one of the page's, or not in their order.

use contract::{Descriptor, Entries, Failure, Migration, Operator, StateKind, column, count};

struct MigrateKeys;

impl Operator for MigrateKeys {
    fn describe() -> Descriptor {
        count::descriptor(2, StateKind::Value)
    }
}

impl Migration for MigrateKeys {
    fn migrate(_: u32, _: u32, page: Entries) -> Result<Entries, Failure> {
        let keys = column::of(column::iter(&page.keys).flat_map(|key| [key, key]));
        Ok(Entries { keys, ..page })
    }
}

contract::export!(MigrateKeys);
contract::export_migration!(MigrateKeys);
