//! The way out of a module: the contract's exports, written once for every operator.

use std::sync::Once;

use crate::bindings::gristmill::operator::types::{self, Context, Outcome};
use crate::failure::Failure;
use crate::log;
use crate::operator::{self, Operator};

/// Exports an operator from a Wasm module; natively it only says that the operator is used. `#[operator]` calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_operator {
    ($operator:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::exports::gristmill::operator::{guest, processor};
            use $crate::bindings::gristmill::operator::types;

            struct Module;

            ::std::thread_local! {
                static OPENED: ::std::cell::RefCell<::std::option::Option<$operator>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            impl guest::Guest for Module {
                fn describe() -> types::Descriptor {
                    $crate::operator::describe::<$operator>()
                }

                fn open(parameters: ::std::string::String, context: types::Context) -> Result<(), types::Failure> {
                    OPENED.with_borrow_mut(|opened| $crate::export::open(opened, &parameters, &context))
                }
            }

            impl processor::Guest for Module {
                fn process(
                    call: types::Call,
                    input: u32,
                    events: types::Batch,
                ) -> Result<types::Outcome, types::Failure> {
                    OPENED.with_borrow_mut(|opened| $crate::export::process(opened, call, input, events))
                }
            }

    $crate::bindings::export!(Module with_types_in $crate::bindings);
        };

        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&str) -> ::core::result::Result<$operator, $crate::Failure> =
            <$operator as $crate::operator::Operator>::build;
    };
}

/// Exports the migrations of an operator. `#[operator]` calls it where there are some.
#[doc(hidden)]
#[macro_export]
macro_rules! export_migration {
    ($operator:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::gristmill::operator::types;
            use $crate::bindings::migration;

            struct Migrations;

            impl migration::Guest for Migrations {
                fn migrate(
                    state: ::std::string::String,
                    from_version: u32,
                    from_kind: types::StateKind,
                    to_version: u32,
                    page: migration::Entries,
                ) -> Result<migration::Entries, types::Failure> {
                    let asked = $crate::migration::Asked { state: &state, from_version, from_kind, to_version };
                    Ok(<$operator as $crate::migration::Migrate>::migrate(asked, page)?)
                }
            }

            $crate::bindings::migrations::export_migrations!(
                Migrations with_types_in $crate::bindings::migrations
            );
        };
    };
}

/// Exports how the states of an operator are shown. `#[operator]` calls it where there are some.
#[doc(hidden)]
#[macro_export]
macro_rules! export_inspection {
    ($operator:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::inspection;

            struct Inspections;

            impl inspection::Guest for Inspections {
                fn render(
                    state: ::std::string::String,
                    version: u32,
                    entry: inspection::Stored,
                ) -> Result<inspection::Shown, ::std::string::String> {
                    <$operator as $crate::inspection::Inspect>::render(&state, version, entry)
                }

                fn parse(
                    state: ::std::string::String,
                    version: u32,
                    entry: inspection::Shown,
                ) -> Result<inspection::Stored, ::std::string::String> {
                    <$operator as $crate::inspection::Inspect>::parse(&state, version, entry)
                }
            }

            $crate::bindings::inspections::export_inspections!(
                Inspections with_types_in $crate::bindings::inspections
            );
        };
    };
}

/// `guest.open`: makes the operator and keeps it.
///
/// # Errors
/// If the parameters do not fit, or the author's `open` fails.
pub fn open<O: Operator>(opened: &mut Option<O>, parameters: &str, context: &Context) -> Result<(), types::Failure> {
    tell_panics();
    *opened = Some(operator::open(parameters, context)?);
    Ok(())
}

/// `processor.process`: one call.
///
/// # Errors
/// If the whole call failed.
pub fn process<O: Operator>(
    opened: &mut Option<O>,
    call: types::Call,
    input: u32,
    events: types::Batch,
) -> Result<Outcome, types::Failure> {
    let operator = opened.as_mut().ok_or_else(|| Failure::Fatal("`process` was called before `open`".to_owned()))?;
    Ok(operator::process(operator, call, input, events)?)
}

/// Makes panics log their message and place, with the row that was being handled, before they become traps: so the dead
/// letter says more than "unreachable".
fn tell_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| log::error(panic))));
}
