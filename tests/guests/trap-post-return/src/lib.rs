//! Returns a fine outcome from `process`, then traps while the canonical ABI lets it free that outcome.
//! The host must treat it as a trap in the call (contract, rule 10): nothing that was returned takes effect.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::without_provenance_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use contract::{Batch, Failure, Operator, Outcome, Rows, emit};

/// The list that must not be freed. Its bindings hand it out without a copy, and free it in post-return only.
static BAIT: AtomicPtr<u8> = AtomicPtr::new(without_provenance_mut(usize::MAX));

struct Trap;

// SAFETY: every call goes to the system's allocator unchanged, or never returns.
unsafe impl GlobalAlloc for Trap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if memory == BAIT.load(Relaxed) {
            std::process::abort();
        }
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static TRAP: Trap = Trap;

struct TrapPostReturn;

impl Operator for TrapPostReturn {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        let mut rows: Vec<u32> = (0..events.timestamps.len() as u32).collect();
        BAIT.store(rows.as_mut_ptr().cast(), Relaxed);
        Ok(emit(Rows::Selected(rows)))
    }
}

contract::export!(TrapPostReturn);
