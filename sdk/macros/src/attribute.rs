//! What stands in `#[state(…)]`, `#[migrate(…)]`, `#[output(…)]`, `#[input(…)]`, `#[metric(…)]` and `#[local]`.

use std::time::Duration;

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Field, LitBool, LitInt, LitStr, Result};

use crate::way::{self, Way};

/// The attributes that a field of an operator may bear.
const ATTRIBUTES: [&str; 5] = ["state", "output", "input", "metric", "local"];

/// What a field was told.
#[derive(Default)]
pub(crate) struct Told {
    /// Which attribute it bears, and where.
    pub(crate) attribute: Option<(&'static str, Span)>,
    /// `name = "…"`.
    pub(crate) name: Option<LitStr>,
    /// `version = …`.
    pub(crate) version: Option<LitInt>,
    /// `ttl = "…"`, in milliseconds.
    pub(crate) ttl_ms: Option<u64>,
    /// `ttl_clock = "processing-time"`.
    pub(crate) ttl_by_processing_time: bool,
    /// `keyed = …`.
    pub(crate) keyed: Option<LitBool>,
    /// Each `#[migrate(…)]`.
    pub(crate) ways: Vec<Way>,
}

impl Told {
    /// Whether the field only lives in memory.
    pub(crate) fn is_local(&self) -> bool {
        self.attribute.is_some_and(|(name, _)| name == "local")
    }
}

/// Takes our attributes off a field and reads them.
pub(crate) fn take(field: &mut Field) -> Result<Told> {
    let mut told = Told::default();
    let mut failure = None;
    field.attrs.retain(|attribute| {
        let read = if attribute.path().is_ident("migrate") {
            way::read(attribute).map(|way| told.ways.push(way))
        } else {
            let Some(name) = ATTRIBUTES.into_iter().find(|name| attribute.path().is_ident(name)) else { return true };
            read(name, attribute, &mut told)
        };
        if let Err(error) = read {
            failure.get_or_insert(error);
        }
        false
    });
    failure.map_or(Ok(()), Err)?;
    check_ways(&told)?;
    Ok(told)
}

fn check_ways(told: &Told) -> Result<()> {
    if let (Some((name, _)), Some(way)) = (told.attribute, told.ways.first())
        && name != "state"
    {
        return Err(Error::new(way.span, format!("only a state has migrations, and this is `#[{name}]`")));
    }
    way::check(&told.ways, told.version.as_ref())
}

fn read(name: &'static str, attribute: &Attribute, told: &mut Told) -> Result<()> {
    use syn::spanned::Spanned;
    if let Some((before, _)) = told.attribute.replace((name, attribute.span())) {
        return Err(Error::new_spanned(attribute, format!("`#[{name}]` after `#[{before}]`: one is enough")));
    }
    if matches!(attribute.meta, syn::Meta::Path(_)) {
        return Ok(());
    }
    attribute.parse_nested_meta(|option| read_option(name, &option, told))
}

fn read_option(attribute: &str, option: &ParseNestedMeta<'_>, told: &mut Told) -> Result<()> {
    let known: &[&str] = match attribute {
        "state" => &["name", "version", "ttl", "ttl_clock"],
        "input" => &["name", "keyed"],
        "local" => &[],
        _ => &["name"],
    };
    let Some(name) = known.iter().find(|name| option.path.is_ident(name)) else {
        let known = if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
        return Err(option.error(format!("`#[{attribute}]` has no such option; it has {known}")));
    };
    let value = option.value()?;
    match *name {
        "name" => told.name = Some(value.parse()?),
        "version" => told.version = Some(value.parse()?),
        "keyed" => told.keyed = Some(value.parse()?),
        "ttl" => told.ttl_ms = Some(milliseconds(&value.parse()?)?),
        _ => told.ttl_by_processing_time = by_processing_time(&value.parse()?)?,
    }
    Ok(())
}

/// `"500ms"`, `"30s"`, `"15m"`, `"12h"`, `"7d"`.
fn milliseconds(text: &LitStr) -> Result<u64> {
    let written = text.value();
    let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
    let (count, unit) = written.split_at(digits);
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(60 * 60),
        "d" => Duration::from_secs(24 * 60 * 60),
        _ => return Err(Error::new_spanned(text, "a time to live is a number with ms, s, m, h or d, such as \"7d\"")),
    };
    let count: u64 = count.parse().map_err(|_| Error::new_spanned(text, "the number is missing or too large"))?;
    (unit.as_millis() as u64).checked_mul(count).ok_or_else(|| Error::new_spanned(text, "longer than time itself"))
}

fn by_processing_time(text: &LitStr) -> Result<bool> {
    match text.value().as_str() {
        "event-time" => Ok(false),
        "processing-time" => Ok(true),
        _ => Err(Error::new_spanned(text, "a clock is \"event-time\" or \"processing-time\"")),
    }
}
