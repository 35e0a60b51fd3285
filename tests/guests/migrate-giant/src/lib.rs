//! `count`, version 2, whose `migrate` makes 64 MiB of the page's first value.
//! The host must say: past its output (`limits.output`), and no more than that was copied; by default, past its memory.

use contract::{Column, Descriptor, Entries, Failure, Migration, Operator, StateKind, count};

/// Bytes of the value.
const BYTES: u32 = 64 << 20;

struct MigrateGiant;

impl Operator for MigrateGiant {
    fn describe() -> Descriptor {
        count::descriptor(2, StateKind::Value)
    }
}

impl Migration for MigrateGiant {
    fn migrate(_: u32, _: u32, page: Entries) -> Result<Entries, Failure> {
        let values = Column { ends: vec![BYTES], data: vec![b'x'; BYTES as usize], nulls: vec![] };
        Ok(Entries { owners: vec![0], values, ..page })
    }
}

contract::export!(MigrateGiant);
contract::export_migration!(MigrateGiant);
