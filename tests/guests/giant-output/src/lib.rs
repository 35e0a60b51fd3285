//! Returns one event of a gibibyte (parameter `bytes`).
//! The host must say, by default: more than its memory (`limits.memory`). Where the memory suffices, as with
//! `bytes: 134217728`: more than its output (`limits.output`).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use contract::{Batch, Column, Descriptor, Failure, Operator, Outcome, Rows, column, emit};

/// Bytes of the value.
static BYTES: AtomicUsize = AtomicUsize::new(0);

struct GiantOutput;

impl Operator for GiantOutput {
    fn describe() -> Descriptor {
        contract::descriptor_with("bytes", 1 << 30)
    }

    fn open(parameters: String) -> Result<(), Failure> {
        let bytes = contract::parameter(&parameters, "bytes")?;
        BYTES.store(bytes.try_into().unwrap_or(usize::MAX), Relaxed);
        Ok(())
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        let bytes = BYTES.load(Relaxed);
        Ok(emit(Rows::Created(Batch {
            timestamps: vec![events.timestamps[0]],
            keys: column::of([None::<&[u8]>]),
            values: Column { ends: vec![bytes as u32], data: vec![b'x'; bytes], nulls: vec![] },
        })))
    }
}

contract::export!(GiantOutput);
