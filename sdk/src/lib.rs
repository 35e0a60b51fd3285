//! Write an operator for Gristmill in Rust: a struct, and a function that is called once for each event.
//!
//! # An author's first hour
//!
//! A crate with one dependency, compiled as a library for Wasm:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]             # nothing else beside it: with "lib", Cargo leaves out `lto`
//!
//! [dependencies]
//! gristmill-sdk = { path = "../gristmill/sdk" }   # wherever the repository lies: it is not on crates.io
//!
//! [profile.release]
//! lto = "fat"                         # the operator and the SDK become one loop: a third fewer nanoseconds an event
//! codegen-units = 1
//! panic = "abort"
//! strip = "debuginfo"                 # but keep the names, for the backtraces of dead letters
//! ```
//!
//! An operator says what it is made of, and what it does with an event:
//!
//! ```
//! use gristmill_sdk::prelude::*;
//!
//! #[parameters]
//! struct Settings {
//!     /// Keys are reported from this count on.
//!     #[serde(default)]
//!     at_least: u64,
//! }
//!
//! #[operator]
//! struct Popular {
//!     settings: Parameters<Settings>, // what the job says under `parameters:`
//!     seen: Value<u64>,               // a state: one number for each key
//!     popular: Output,                // a port
//! }
//!
//! impl PerEvent for Popular {
//!     fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
//!         let seen = self.seen.or_default(event)?;
//!         *seen += 1;
//!         if *seen >= self.settings.at_least {
//!             self.popular.pass(event);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! use gristmill_sdk::testing::{Harness, event};
//! let mut popular = Harness::<Popular>::open(&serde_json::json!({"at_least": 2})).unwrap();
//! let done = popular.process([event("first").key("a"), event("second").key("a")]).unwrap();
//! assert_eq!(done.texts("popular"), ["second"]);
//! ```
//!
//! That is all: ports, states and the JSON Schema of the parameters are read off the struct, and their names are those of
//! the fields. `cargo test` runs the operator natively, with the very same code, in a [`testing::Harness`]. Then:
//!
//! ```text
//! cargo build --release --target wasm32-unknown-unknown
//! gristmill run job.yaml                          # module: ./target/wasm32-unknown-unknown/release/popular.wasm
//! ```
//!
//! # What an operator is made of
//!
//! | field | what it is | attribute |
//! |---|---|---|
//! | [`Parameters<T>`] | the job's parameters; `T` under [`#[parameters]`](macro@parameters) | – |
//! | [`Output`] | a port; events keep their key | `#[output(name = "…")]` |
//! | [`RekeyedOutput`] | a port; events may get another key | `#[output(name = "…")]` |
//! | [`Value<T>`], [`List<T>`], [`Map<K, V>`] | state of the event's key; types under [`#[data]`](macro@data) | `#[state(name = "…", version = 2)]`, `#[migrate(from = 1, was = …, with = …)]` |
//! | [`Input`] | one of several inputs; without one there is the input `in` | `#[input(name = "…", keyed = false)]` |
//! | [`Counter`], [`Histogram`] | metrics | `#[metric(name = "…")]` |
//! | anything else | memory that may be lost at any time; starts from `Default` | `#[local]` |
//!
//! The name of a state is its identity in checkpoints: keep it with `name = "…"` when the field is renamed, and raise
//! `version` when the type changes, with a migration (below). The attribute also takes `ttl = "7d"` and `ttl_clock = "processing-time"`, which the
//! contract has and the host of this version does not serve yet: it refuses such a module. How typed state is written is a law; see the sources of `codec` and [`map_key`].
//!
//! # When the type of a state changes
//!
//! A module that is to take over from an older one, while the stream flows, says what the state was and how it becomes what
//! it is: one plain function for each older version, from all that a key had to all that it has from now on.
//!
//! ```
//! use gristmill_sdk::prelude::*;
//!
//! #[data]
//! struct Seen {
//!     count: u64,
//!     last: Option<i64>,
//! }
//!
//! #[operator]
//! struct Popular {
//!     #[state(version = 2)]
//!     #[migrate(from = 1, was = Value<u64>, with = counted)]
//!     #[migrate(to = 1, was = Value<u64>, with = |seen: Seen| seen.count)] // the way back, should this version go wrong
//!     seen: Value<Seen>,
//!     out: Output,
//! }
//!
//! /// Version 1 counted, and kept no time.
//! fn counted(count: u64) -> Seen {
//!     Seen { count, last: None }
//! }
//! # impl PerEvent for Popular {
//! #     fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
//! #         self.out.pass(event);
//! #         Ok(())
//! #     }
//! # }
//!
//! use gristmill_sdk::testing::Harness;
//! let mut popular = Harness::<Popular>::new();
//! popular.migrate::<Value<u64>>("seen", 1, "a", &41).unwrap();
//! assert_eq!(popular.value("seen", "a"), Some(Seen { count: 41, last: None }));
//! assert_eq!(popular.migrate_back::<Value<u64>>("seen", 1, "a"), Ok(Some(41)));
//! ```
//!
//! All that a key has is, in a [`Value<T>`], a `T`; in a [`List<T>`], a `Vec<T>`; in a [`Map<K, V>`], a `Vec<(K, V)>`: so
//! a value becomes a map by `fn(u64) -> Vec<(String, u64)>`. A function may also return an `Option`, where `None` leaves the key
//! with nothing, or a `Result`; a failure ends the swap. It runs in an instance of its own, before the new module
//! sees an event of the key, and must depend on nothing but what it is given: no clock, no chance, no `static`.
//!
//! Each version has its own way to the newest: with `version = 3` a state is migrated `from = 1` and `from = 2`, each in one
//! step. A module exports the contract's `migration` only if it has a `#[migrate]`.
//!
//! # State that people look at
//!
//! A module exports the contract's `inspection` for all of its states, without a word of its author's: `gristmill state get`
//! shows what serde makes of a state's type in JSON, and `gristmill state set` takes the same.
//!
//! # How an event can go wrong
//!
//! | `Err(…)` from `on_event` | what happens |
//! |---|---|
//! | [`bad_record`]`("why")` | this event is rejected: what it sent and wrote vanishes, the host sets it aside with the reason; the batch goes on |
//! | [`transient`]`("why")` | the call has no effect; the host tries the same batch again after a while |
//! | [`fatal`]`("why")` | the call has no effect; the job fails |
//! | a panic | the call has no effect; the host finds the event by bisecting and sets it aside with the backtrace; the panic's message and place are an error line of the job's log, with the event's row |
//!
//! Errors of other libraries become failures by [`OrFail`]: `text.parse::<u32>().or_bad_record()?`.
//!
//! An event without a key that wants state is a bad record.
//!
//! # What it says meanwhile
//!
//! [`log`] has a function for each level; each takes a text, or whatever can be shown as one, and adds the row of the
//! event at hand:
//!
//! ```
//! # use gristmill_sdk::prelude::*;
//! # fn on_event(event: Event<'_>) -> Result<(), Failure> {
//! let amount: f64 = event.text()?.parse().or_bad_record()?;
//! if amount < 0.0 {
//!     log::warn(format_args!("a negative amount: {amount}"));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it costs
//!
//! A call handles a whole batch, also here: `pass` notes a row number and moves no bytes, state is read by one call of
//! the host and written by one, whatever the number of events. An operator that can do better with all events at once says
//! `#[operator(per_batch)]` and implements [`PerBatch`]; most need not, and [`PerEvent::end_of_batch`] serves those that
//! want to send a result once instead of with each event.
// The attributes name this crate by its full name, also in its own tests.
extern crate self as gristmill_sdk;

#[doc(hidden)]
pub mod bindings;
mod column;
mod failure;
mod event;
mod codec;
pub mod map_key;
#[doc(hidden)]
pub mod inspection;
mod host;
pub mod log;
#[doc(hidden)]
pub mod part;
mod parameters;
mod input;
mod output;
mod metric;
mod state;
#[doc(hidden)]
pub mod migration;
#[doc(hidden)]
pub mod operator;
#[doc(hidden)]
pub mod export;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::gristmill::operator::types::Context;
pub use event::{Batch, Event};
pub use failure::{Failure, OrFail, bad_record, fatal, transient};
pub use gristmill_sdk_macros::{data, operator, parameters};
pub use input::Input;
pub use metric::{Counter, Histogram};
pub use operator::{PerBatch, PerEvent, Rejected};
pub use output::{Output, RekeyedOutput, ValueWriter};
pub use parameters::Parameters;
pub use state::{Kept, List, ListItems, Map, MapEntries, Value};

#[doc(hidden)]
pub use {schemars, serde};

/// Everything that an operator usually names.
pub mod prelude {
    pub use crate::{
        Batch, Context, Counter, Event, Failure, Histogram, Input, List, Map, OrFail, Output, Parameters, PerBatch,
        PerEvent, Rejected, RekeyedOutput, Value, bad_record, data, fatal, log, operator, parameters, transient,
    };
}
