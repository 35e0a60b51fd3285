//! What an instance may use, and the account of its memory.

use std::time::Duration;

use gristmill_ports::module_registry::PrepareOptions;
use wasmtime::ResourceLimiter;

/// Table elements of an instance, all tables together: 8 MiB of pointers.
pub(crate) const TABLE_ELEMENTS: usize = 1 << 20;

/// Core instances, memories and tables of one component, each. Toolchains use some dozens.
const PARTS: usize = 128;

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

/// What a guest asked for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Linear memory.
    Memory,
    /// Elements of tables.
    Elements,
}

/// The account of what an instance holds. Guest memory never shrinks, so it only grows.
#[derive(Debug)]
pub(crate) struct Footprint {
    limit: usize,
    memory: usize,
    elements: usize,
    at_open: usize,
    denied: Option<Denied>,
    /// What was booked last, until the growth is known to have come about.
    last_memory: usize,
    last_elements: usize,
}

impl Footprint {
    /// An empty account with this limit, in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, memory: 0, elements: 0, at_open: 0, denied: None, last_memory: 0, last_elements: 0 }
    }

    /// Remembers the size at which the instance began its work.
    pub(crate) fn opened(&mut self) {
        self.at_open = self.memory;
    }

    /// Forgets what was denied, at the beginning of a call.
    pub(crate) fn begin_call(&mut self) {
        self.denied = None;
    }

    /// What the guest was denied last in this call.
    pub(crate) fn denied(&self) -> Option<Denied> {
        self.denied
    }

    /// Bytes of linear memory.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Whether the instance had better be replaced between calls (rule 11): it holds most of what it may, and a fresh
    /// one would hold less than half of that.
    pub(crate) fn is_oversized(&self) -> bool {
        self.memory > self.limit / 4 * 3 && self.memory / 2 > self.at_open
    }
}

impl ResourceLimiter for Footprint {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.last_memory = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Its own bound, not ours: nothing is denied.
            return Ok(false);
        }
        let growth = desired.saturating_sub(current);
        if self.memory.saturating_add(growth) > self.limit {
            self.denied = Some(Denied::Memory);
            return Ok(false);
        }
        self.memory += growth;
        self.last_memory = growth;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!("a guest's memory did not grow: {error:#}");
        self.memory -= std::mem::take(&mut self.last_memory);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.last_elements = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let growth = desired.saturating_sub(current);
        if self.elements.saturating_add(growth) > TABLE_ELEMENTS {
            self.denied = Some(Denied::Elements);
            return Ok(false);
        }
        self.elements += growth;
        self.last_elements = growth;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!("a guest's table did not grow: {error:#}");
        self.elements -= std::mem::take(&mut self.last_elements);
        Ok(())
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
        assert_eq!(footprint.denied(), Some(Denied::Memory));
        footprint.begin_call();
        assert!(footprint.memory_growing(3 * MIB, 4 * MIB, None).expect("an answer"));
        assert_eq!(footprint.denied(), None);
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

    #[test]
    fn memory_that_did_not_come_about_is_not_held() {
        let mut footprint = Footprint::new(8 * MIB);
        assert!(footprint.memory_growing(0, MIB, Some(2 * MIB)).expect("an answer"));
        assert!(!footprint.memory_growing(MIB, 4 * MIB, Some(2 * MIB)).expect("an answer"), "beyond its own maximum");
        assert_eq!(footprint.denied(), None, "that was not our limit");
        for _ in 0..2 {
            assert!(footprint.memory_growing(MIB, 8 * MIB, None).expect("an answer"));
            footprint.memory_grow_failed(wasmtime::Error::msg("no room")).expect("an answer");
        }
        footprint.opened();
        assert!(!footprint.is_oversized());
        assert!(footprint.table_growing(0, TABLE_ELEMENTS, None).expect("an answer"));
        assert!(!footprint.table_growing(TABLE_ELEMENTS, TABLE_ELEMENTS + 1, None).expect("an answer"));
        assert_eq!(footprint.denied(), Some(Denied::Elements));
    }
}
