//! What an instance may use, and the account of its memory.

use std::time::Duration;

use gristmill_ports::module_registry::PrepareOptions;
use wasmtime::ResourceLimiter;

/// Table elements of an instance, all tables together: 8 MiB of pointers.
const TABLE_ELEMENTS: usize = 1 << 20;

/// Core instances, memories and tables of one component. Toolchains use up to about a hundred.
const PARTS: usize = 1000;

/// The bounds within which a guest is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Linear memory of an instance, all memories together, in bytes.
    pub(crate) memory_bytes: usize,
    /// How long one call may take.
    pub(crate) call: Duration,
    /// Bytes that one call may return or hand to imports.
    pub(crate) output_bytes: usize,
    /// Bytes of log lines in one second.
    pub(crate) log_bytes: u64,
}

impl From<&PrepareOptions> for Limits {
    fn from(options: &PrepareOptions) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            memory_bytes: size(options.memory_bytes),
            call: options.call,
            output_bytes: size(options.output_bytes),
            log_bytes: options.log_bytes,
        }
    }
}

/// The account of what an instance holds. Guest memory never shrinks, so it only grows.
#[derive(Debug)]
pub(crate) struct Footprint {
    limit: usize,
    memory: usize,
    elements: usize,
    at_open: usize,
    denied: bool,
}

impl Footprint {
    /// An empty account with this limit, in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, memory: 0, elements: 0, at_open: 0, denied: false }
    }

    /// Remembers the size at which the instance began its work.
    pub(crate) fn opened(&mut self) {
        self.at_open = self.memory;
    }

    /// Forgets that memory was denied, at the beginning of a call.
    pub(crate) fn begin_call(&mut self) {
        self.denied = false;
    }

    /// Whether the guest was denied memory in this call.
    pub(crate) fn was_denied(&self) -> bool {
        self.denied
    }

    /// Whether the instance had better be replaced between calls (rule 11): it holds most of what it may, and a fresh
    /// one would hold less than half of that.
    pub(crate) fn is_oversized(&self) -> bool {
        self.memory > self.limit / 4 * 3 && self.memory / 2 > self.at_open
    }
}

impl ResourceLimiter for Footprint {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.memory.saturating_add(desired.saturating_sub(current));
        if grown > self.limit {
            self.denied = true;
            return Ok(false);
        }
        self.memory = grown;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.elements.saturating_add(desired.saturating_sub(current));
        if grown > TABLE_ELEMENTS {
            self.denied = true;
            return Ok(false);
        }
        self.elements = grown;
        Ok(true)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn all_memories_of_an_instance_share_one_limit() {
        let mut footprint = Footprint::new(4 * MIB);
        assert!(footprint.memory_growing(0, 3 * MIB, None).expect("an answer"));
        assert!(!footprint.memory_growing(0, 2 * MIB, None).expect("an answer"), "a second memory");
        assert!(footprint.was_denied());
        footprint.begin_call();
        assert!(footprint.memory_growing(3 * MIB, 4 * MIB, None).expect("an answer"));
        assert!(!footprint.was_denied());
    }

    // Rule 11.
    #[test]
    fn an_instance_is_oversized_only_if_a_fresh_one_would_be_much_smaller() {
        let mut grown = Footprint::new(8 * MIB);
        assert!(grown.memory_growing(0, MIB, None).expect("an answer"));
        grown.opened();
        assert!(!grown.is_oversized());
        assert!(grown.memory_growing(MIB, 7 * MIB, None).expect("an answer"));
        assert!(grown.is_oversized());

        let mut large_from_birth = Footprint::new(8 * MIB);
        assert!(large_from_birth.memory_growing(0, 7 * MIB, None).expect("an answer"));
        large_from_birth.opened();
        assert!(!large_from_birth.is_oversized());
    }
}
