//! Rewriting what another version of the module has stored: page by page, key by key, each by a function of the author's.
//!
//! Knows no operator: the host calls it in an instance that sees no event.

use crate::bindings::gristmill::operator::types::{Column, StateKind};
pub use crate::bindings::migration::Entries;
use crate::failure::{Failure, fatal};
use crate::state::{Kept, Run, Written, empty_page};

/// What the host wants of a page.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The state's name.
    pub state: &'a str,
    /// The version of the entries.
    pub from_version: u32,
    /// The kind of state that they come from.
    pub from_kind: StateKind,
    /// The version that they are to have.
    pub to_version: u32,
}

/// A way from one version of a state to another: state, from, to.
pub type Way = (&'static str, u32, u32);

/// What `#[operator]` makes of `#[migrate(…)]`. Not for authors.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no migrations",
    note = "say of a state what it was: `#[migrate(from = 1, was = Value<u64>, with = some_function)]`"
)]
pub trait Migrate {
    /// All that there are.
    const WAYS: &'static [Way];

    /// Rewrites a page.
    ///
    /// # Errors
    /// The author's, or [`Failure::Fatal`] if there is no such way.
    fn migrate(asked: Asked<'_>, page: Entries) -> Result<Entries, Failure>;
}

/// What a function of a migration may return: all that a key has from now on; an `Option` of it, where `None` is nothing
/// any more; or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "a migration of this state returns a `{T}`, or an `Option` of it, or a `Result` of it with a `Failure`",
    label = "this returns a `{Self}`"
)]
pub trait Made<T> {
    /// What there is from now on, if it is something.
    ///
    /// # Errors
    /// The author's.
    fn made(self) -> Result<Option<T>, Failure>;
}

impl<T> Made<T> for T {
    fn made(self) -> Result<Option<T>, Failure> {
        Ok(Some(self))
    }
}

impl<T> Made<T> for Option<T> {
    fn made(self) -> Result<Self, Failure> {
        Ok(self)
    }
}

impl<T> Made<T> for Result<T, Failure> {
    fn made(self) -> Result<Option<T>, Failure> {
        self.map(Some)
    }
}

/// Rewrites a page by the function of one way.
///
/// # Errors
/// The author's, with the key; [`Failure::Fatal`] if the entries are not those of an `Old`.
pub fn rewrite<Old: Kept, New: Kept, R: Made<New::Content>>(
    asked: Asked<'_>,
    page: Entries,
    function: impl Fn(Old::Content) -> R,
) -> Result<Entries, Failure> {
    check_kind::<Old>(asked)?;
    let mut answer = empty_page(Column::empty());
    let mut from = 0;
    for run in page.owners.chunk_by(|one, other| one == other) {
        let (owner, rows) = (run[0], from..from + run.len());
        from = rows.end;
        let written = Written { page: &mut answer, owner, state: asked.state };
        rewrite_key::<Old, New, R>(Run { page: &page, rows }, written, &function)
            .map_err(|failure| about_key(failure, page.keys.bytes(owner as usize)))?;
    }
    answer.keys = page.keys;
    Ok(answer)
}

fn rewrite_key<Old: Kept, New: Kept, R: Made<New::Content>>(
    key: Run<'_>,
    mut to: Written<'_>,
    function: impl Fn(Old::Content) -> R,
) -> Result<(), Failure> {
    let Some(old) = Old::read(key)? else { return Ok(()) };
    match function(old).made()? {
        Some(new) => New::write(&new, &mut to),
        None => Ok(()),
    }
}

fn check_kind<Old: Kept>(asked: Asked<'_>) -> Result<(), Failure> {
    if asked.from_kind == Old::KIND {
        return Ok(());
    }
    Err(fatal(format_args!(
        "version {} is a `{}`, but the migration takes a `{}`",
        asked.from_version,
        kind_in_words(asked.from_kind),
        kind_in_words(Old::KIND)
    )))
}

fn kind_in_words(kind: StateKind) -> &'static str {
    match kind {
        StateKind::Value => "Value",
        StateKind::AppendList => "List",
        StateKind::OrderedMap => "Map",
        StateKind::Accumulator => "window's accumulator",
    }
}

fn about_key(failure: Failure, key: &[u8]) -> Failure {
    let about = |reason| format!("key {:?}: {reason}", String::from_utf8_lossy(key));
    match failure {
        Failure::BadRecord(reason) => Failure::BadRecord(about(reason)),
        Failure::Transient(reason) => Failure::Transient(about(reason)),
        Failure::Fatal(reason) => Failure::Fatal(about(reason)),
    }
}

/// The failure for a way that the module does not have.
#[must_use]
pub fn no_way(asked: Asked<'_>, ways: &[Way]) -> Failure {
    let known: Vec<String> = ways.iter().map(|(state, from, to)| format!("`{state}` from {from} to {to}")).collect();
    fatal(format_args!(
        "the module does not migrate it from version {} to version {}; it has {}",
        asked.from_version,
        asked.to_version,
        known.join(", ")
    ))
}
