//! Emits one list of a mebibyte a thousand times over: a mebibyte in the guest's memory, a gibibyte once copied.
//! The host must say: the call returned more than its output (`limits.output`), and must not have copied more.

use std::alloc::{GlobalAlloc, Layout, System};

use contract::{Batch, Column, Emission, Failure, Mapped, Operator, Outcome, Rows};

/// Bytes of the list.
const LIST: usize = 1 << 20;
/// How often it is emitted.
const TIMES: usize = 1000;

/// Frees nothing: else the guest would free the list twice, and its own trap would hide what the host does.
struct Leak;

// SAFETY: memory comes from the system's allocator, and is never given back.
unsafe impl GlobalAlloc for Leak {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, _memory: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static LEAK: Leak = Leak;

struct AliasBomb;

impl Operator for AliasBomb {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        let list = vec![b'x'; LIST].leak().as_mut_ptr();
        let emission = |_| {
            // SAFETY: none in Rust's eyes, a thousand vectors own this list; that is the attack. It does no harm to the
            // guest: nobody writes to the list, and nobody frees it.
            let data = unsafe { Vec::from_raw_parts(list, LIST, LIST) };
            let values = Column { ends: vec![LIST as u32], data, nulls: vec![] };
            Emission { port: 0, rows: Rows::Mapped(Mapped { rows: vec![0], values }) }
        };
        Ok(Outcome { emissions: (0..TIMES).map(emission).collect(), rejections: vec![] })
    }
}

contract::export!(AliasBomb);
