//! A module that exports `inspection`, in an instance of its own: an entry of state goes in, and comes back as JSON; or the
//! other way round.

use gristmill_ports::inspection::{Inspected, Inspector, ShownEntry, StoredEntry};
use gristmill_types::CallFailure;
use gristmill_types::failure::GuestFault;

use crate::bindings::inspection::{ShownParam, ShownResult, StoredParam, StoredResult};
use crate::fault::{invalid, over_output_limit};
use crate::guest_data::Phase;
use crate::instance::Instance;
use crate::log_gate::cut;
use crate::seat::Seat;

/// The wall clock of an inspection: what is shown depends on nothing but the entry.
const NO_TIME_MS: i64 = 0;

/// Such an instance, with its seat. It has the limits of an operator's call, and no state: whatever a guest asks of its
/// imports of state is outside of a call.
pub(crate) struct GuestInspector(Seat);

impl GuestInspector {
    /// An inspector on an instance that has been opened, as guests may need their parameters.
    pub(crate) fn new(seat: Seat) -> Self {
        Self(seat)
    }

    /// Keeps the instance for another call if the answer is sound.
    fn keep<T>(
        &mut self,
        mut instance: Instance,
        bytes: usize,
        check: impl FnOnce() -> Result<T, GuestFault>,
    ) -> Result<T, CallFailure> {
        if bytes > instance.data().budget() {
            return Err(CallFailure::Fault(over_output_limit(&self.0.limits)));
        }
        let answer = check().map_err(CallFailure::Fault)?;
        self.0.give_back(instance);
        Ok(answer)
    }

    fn refused<T>(&mut self, instance: Instance, function: &str, state: &str, why: &str) -> Result<T, CallFailure> {
        self.0.give_back(instance);
        Err(CallFailure::BadRecord(format!("`{function}` of state `{state}`: {}", cut(why))))
    }
}

impl Inspector for GuestInspector {
    fn render(&mut self, of: Inspected<'_>, entry: &StoredEntry) -> Result<ShownEntry, CallFailure> {
        let mut instance = self.0.take()?;
        let told = StoredParam { name: entry.name.as_deref(), value: entry.value.as_deref() };
        instance.start_deadline();
        let said = instance.call(Phase::Outside, NO_TIME_MS, |calls, store| {
            let guest = calls.inspection.as_ref().expect("modules without `inspection` make no inspector");
            guest.call_render(store, of.state, of.version, told)
        })?;
        let ShownResult { name, value } = match said {
            Ok(said) => said,
            Err(why) => return self.refused(instance, "render", of.state, &why),
        };
        let bytes = name.as_ref().map_or(0, String::len) + value.as_ref().map_or(0, String::len);
        self.keep(instance, bytes, || {
            same_parts("render", (&entry.name, &name), (&entry.value, &value))?;
            json("name", name.as_deref())?;
            json("value", value.as_deref())?;
            Ok(ShownEntry { name, value })
        })
    }

    fn parse(&mut self, of: Inspected<'_>, entry: &ShownEntry) -> Result<StoredEntry, CallFailure> {
        let mut instance = self.0.take()?;
        let told = ShownParam { name: entry.name.as_deref(), value: entry.value.as_deref() };
        instance.start_deadline();
        let said = instance.call(Phase::Outside, NO_TIME_MS, |calls, store| {
            let guest = calls.inspection.as_ref().expect("modules without `inspection` make no inspector");
            guest.call_parse(store, of.state, of.version, told)
        })?;
        let StoredResult { name, value } = match said {
            Ok(said) => said,
            Err(why) => return self.refused(instance, "parse", of.state, &why),
        };
        let bytes = name.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len);
        self.keep(instance, bytes, || {
            same_parts("parse", (&entry.name, &name), (&entry.value, &value))?;
            Ok(StoredEntry { name, value })
        })
    }
}

/// What comes back has what went in.
fn same_parts<N, M, V, W>(
    function: &str,
    (name_in, name_out): (&Option<N>, &Option<M>),
    (value_in, value_out): (&Option<V>, &Option<W>),
) -> Result<(), GuestFault> {
    let check = |part: &str, went_in: bool, came_back: bool| match (went_in, came_back) {
        (true, false) => Err(invalid(format!("`{function}` was given a {part}, and returned none"))),
        (false, true) => Err(invalid(format!("`{function}` returned a {part}, and was given none"))),
        (true, true) | (false, false) => Ok(()),
    };
    check("name", name_in.is_some(), name_out.is_some())?;
    check("value", value_in.is_some(), value_out.is_some())
}

fn json(part: &str, text: Option<&str>) -> Result<(), GuestFault> {
    let read: Result<Option<&serde_json::value::RawValue>, _> = text.map(serde_json::from_str).transpose();
    read.map(drop).map_err(|error| invalid(format!("the {part} that `render` returned is not JSON: {error}")))
}
