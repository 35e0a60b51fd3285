//! A module that exports `migration`, in an instance of its own: a page of entries goes in, and comes back rewritten.

use gristmill_ports::migration::{Entries, Migration, Migrator};
use gristmill_types::CallFailure;

use crate::bindings::migration::{EntriesParam, EntriesResult};
use crate::bindings::types::Failure;
use crate::guest_data::Phase;
use crate::guest_operator::borrowed;
use crate::instance::Instance;
use crate::log_gate::cut;
use crate::migrated::Check;
use crate::seat::Seat;

/// The wall clock of a migration: entries rewritten now or after a crash, at their first touch or before, are to become the
/// same.
const NO_TIME_MS: i64 = 0;

/// Such an instance, with its seat. It has the limits of an operator's call, and no state: whatever a guest asks of its
/// imports of state is outside of a call.
pub(crate) struct GuestMigrator(Seat);

impl GuestMigrator {
    /// A migrator on an instance that has been opened, as guests may need their parameters.
    pub(crate) fn new(seat: Seat) -> Self {
        Self(seat)
    }
}

impl Migrator for GuestMigrator {
    fn migrate(&mut self, migration: Migration<'_>, page: &Entries) -> Result<Entries, CallFailure> {
        let mut instance = self.0.take()?;
        let said = call_migrate(&mut instance, migration, page)?;
        let said = match said {
            Ok(said) => said,
            Err(failure) => {
                self.0.give_back(instance);
                return Err(failure_said(migration, &failure));
            }
        };
        let check = Check { migration, page, limits: &self.0.limits, budget: instance.data().budget() };
        let entries = check.entries(said).map_err(CallFailure::Fault)?;
        self.0.give_back(instance);
        Ok(entries)
    }
}

fn call_migrate(
    instance: &mut Instance,
    migration: Migration<'_>,
    page: &Entries,
) -> Result<Result<EntriesResult, Failure>, CallFailure> {
    let Migration { state, from_version, from_kind, to_version, .. } = migration;
    let told = EntriesParam {
        keys: borrowed(&page.keys),
        owners: &page.owners,
        map_keys: borrowed(&page.map_keys),
        values: borrowed(&page.values),
    };
    instance.start_deadline();
    instance.call(Phase::Outside, NO_TIME_MS, |calls, store| {
        let guest = calls.migration.as_ref().expect("modules without `migration` make no migrator");
        guest.call_migrate(store, state, from_version, from_kind.into(), to_version, told)
    })
}

/// What a guest says of entries that it cannot rewrite, with the state that it is about.
fn failure_said(migration: Migration<'_>, failure: &Failure) -> CallFailure {
    let (make, reason): (fn(String) -> CallFailure, _) = match failure {
        Failure::BadRecord(reason) => (CallFailure::BadRecord, reason),
        Failure::Transient(reason) => (CallFailure::Transient, reason),
        Failure::Fatal(reason) => (CallFailure::Fatal, reason),
    };
    make(format!("`migrate` of state `{}`: {}", migration.state, cut(reason)))
}
