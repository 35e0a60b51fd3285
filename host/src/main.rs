//! The `gristmill` binary.

use std::process::ExitCode;

/// Less memory held by an idle host than the system's allocator, and faster batches.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _watched =
        gristmill::failpoints::arm().expect("GRISTMILL_HITS and GRISTMILL_CRASH_AT are set as its module says");
    gristmill::cli::main()
}
