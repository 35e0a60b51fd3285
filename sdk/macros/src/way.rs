//! What stands in `#[migrate(from = 1, was = Value<u64>, with = function)]`.

use std::collections::HashSet;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, LitInt, Result, Type};

/// A way from another version of a state to the one declared, or back.
pub(crate) struct Way {
    /// The other version.
    pub(crate) version: LitInt,
    /// Whether it leads from the version declared to the other one: `to = …` instead of `from = …`.
    pub(crate) is_back: bool,
    /// What the state is in the other version.
    pub(crate) was: Type,
    /// The function.
    pub(crate) with: Expr,
    /// Where the attribute stands.
    pub(crate) span: Span,
}

/// Reads one attribute.
pub(crate) fn read(attribute: &Attribute) -> Result<Way> {
    let (mut other, mut was, mut with) = (None, None, None);
    attribute.parse_nested_meta(|option| {
        let is_back = option.path.is_ident("to");
        if is_back || option.path.is_ident("from") {
            let version = option.value()?.parse()?;
            if other.replace((version, is_back)).is_some() {
                return Err(option.error("a migration is either `from` an older version, or back `to` one"));
            }
        } else if option.path.is_ident("was") {
            was = Some(option.value()?.parse()?);
        } else if option.path.is_ident("with") {
            with = Some(option.value()?.parse()?);
        } else {
            return Err(option.error("`#[migrate]` has no such option; it has `from` or `to`, `was` and `with`"));
        }
        Ok(())
    })?;
    match (other, was, with) {
        (Some((version, is_back)), Some(was), Some(with)) => {
            Ok(Way { version, is_back, was, with, span: attribute.span() })
        }
        _ => Err(Error::new_spanned(
            attribute,
            "a migration says all three: `#[migrate(from = 1, was = Value<u64>, with = some_function)]`",
        )),
    }
}

/// Refuses ways that do not go with the version that the state declares, 1 if it declares none.
pub(crate) fn check(ways: &[Way], declared: Option<&LitInt>) -> Result<()> {
    if ways.is_empty() {
        return Ok(());
    }
    let declared: u32 = declared.map_or(Ok(1), LitInt::base10_parse)?;
    let mut seen = HashSet::new();
    for way in ways {
        let other: u32 = way.version.base10_parse()?;
        if other >= declared {
            let sentence = format!(
                "the state is of version {declared}, and this is about version {other}: raise `#[state(version = …)]`"
            );
            return Err(Error::new_spanned(&way.version, sentence));
        }
        if !seen.insert((other, way.is_back)) {
            return Err(Error::new_spanned(&way.version, format!("a second way for version {other}: one is enough")));
        }
    }
    Ok(())
}
