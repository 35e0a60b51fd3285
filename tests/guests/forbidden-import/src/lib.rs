//! An operator that also imports `evil:host/files`, to read what it was not given.
//! The host must refuse it at upload: the import by name, and that no host interface is called so.

use contract::{Batch, Failure, Operator, Outcome, Rows, column, emit};

wit_bindgen::generate!({
    inline: "
        package evil:host;
        interface files { read: func(path: string) -> list<u8>; }
        world thief { import files; }
    ",
});

struct ForbiddenImport;

impl Operator for ForbiddenImport {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        Ok(emit(Rows::Created(Batch {
            timestamps: vec![events.timestamps[0]],
            keys: column::of([None::<&[u8]>]),
            values: column::of([Some(evil::host::files::read("/etc/passwd"))]),
        })))
    }
}

contract::export!(ForbiddenImport);
