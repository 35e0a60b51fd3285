//! Checks JSON and finds fixed places in it, in one pass.
//!
//! The parsing is serde_json's. Values that are not looked for are skipped with a full check, but without recursion
//! and without being built, which costs half of what sonic-rs' checked skipping does on the plain x86-64 that the host
//! is built for (and that one takes any five bytes for a `\u` escape, and recurses without a bound). Knows nothing of
//! events.

use std::borrow::Cow;
use std::fmt;

use gristmill_dataflow::json_path::{FixedPath, PathStep};
use gristmill_ports::PortError;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Fixed places to look for, each known by its number in the order of the paths.
#[derive(Debug, Default)]
pub(crate) struct Places {
    root: Place,
}

/// A place that is looked for, or lies on the way to one.
#[derive(Debug, Default)]
struct Place {
    /// The numbers under which this very place is wanted.
    wanted: Vec<usize>,
    fields: Vec<(Box<str>, Place)>,
    elements: Vec<(usize, Place)>,
}

impl Places {
    /// The places at the ends of these paths, which are read as a check of the job document reads them.
    ///
    /// # Errors
    /// `Fatal` for a text that is no path, or one that may lead to several values.
    pub(crate) fn at<P: AsRef<str>>(paths: impl IntoIterator<Item = P>) -> Result<Self, PortError> {
        let mut root = Place::default();
        for (number, path) in paths.into_iter().enumerate() {
            let path = FixedPath::parse(path.as_ref()).map_err(|error| PortError::fatal(error.to_string()))?;
            path.steps().iter().fold(&mut root, Place::child).wanted.push(number);
        }
        Ok(Self { root })
    }

    /// Checks a whole JSON text and calls `found` with the number and the JSON text of each place that it has.
    ///
    /// Where an object names a field twice, `found` is called for both in order: the last one counts, as it does for
    /// nearly every reader of JSON, and so for guests.
    ///
    /// # Errors
    /// What is wrong with the text, with its line and column. `found` may have been called before.
    pub(crate) fn find<'j>(&self, json: &'j [u8], mut found: impl FnMut(usize, &'j str)) -> Result<(), String> {
        let text =
            std::str::from_utf8(json).map_err(|error| format!("not utf-8 from byte {} on", error.valid_up_to()))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let search = Search { place: &self.root, found: &mut found };
        search.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| not_json(&error))
    }
}

impl Place {
    fn child(&mut self, step: &PathStep) -> &mut Self {
        match step {
            PathStep::Name(name) => {
                let at = self.fields.iter().position(|(field, _)| **field == **name).unwrap_or_else(|| {
                    self.fields.push((name.as_str().into(), Self::default()));
                    self.fields.len() - 1
                });
                &mut self.fields[at].1
            }
            PathStep::Index(index) => {
                let at = self.elements.iter().position(|(element, _)| element == index).unwrap_or_else(|| {
                    self.elements.push((*index, Self::default()));
                    self.elements.len() - 1
                });
                &mut self.elements[at].1
            }
        }
    }

    fn is_last(&self) -> bool {
        self.fields.is_empty() && self.elements.is_empty()
    }
}

/// The text of a JSON string, without quotes and escapes.
///
/// # Errors
/// If an escape names half of a surrogate pair.
pub(crate) fn unescape(raw: &str) -> Result<Cow<'_, str>, String> {
    let inner = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(plain) if !plain.contains('\\') => Ok(plain.into()),
        Some(_) | None => serde_json::from_str::<String>(raw).map(Into::into).map_err(|error| not_json(&error)),
    }
}

fn not_json(error: &serde_json::Error) -> String {
    format!("not json: {error}")
}

/// Looks for the places below one place in the value that stands there.
struct Search<'p, F> {
    place: &'p Place,
    found: &'p mut F,
}

impl<'de, F: FnMut(usize, &'de str)> DeserializeSeed<'de> for Search<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        if self.place.wanted.is_empty() {
            return if self.place.is_last() {
                reader.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| ())
            } else {
                reader.deserialize_any(self)
            };
        }
        let raw = <&RawValue>::deserialize(reader)?.get();
        self.place.wanted.iter().for_each(|&number| (self.found)(number, raw));
        if self.place.is_last() {
            return Ok(());
        }
        // Wanted as a whole and in part: read once more, which only such pairs of paths pay for.
        serde_json::Deserializer::from_str(raw).deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'de, F: FnMut(usize, &'de str)> Visitor<'de> for Search<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a json value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(field) = object.next_key_seed(FieldOf(&self.place.fields))? {
            match field {
                Some(at) => {
                    object.next_value_seed(Search { place: &self.place.fields[at].1, found: &mut *self.found })?;
                }
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        for index in 0.. {
            let more = match self.place.elements.iter().find(|(element, _)| *element == index) {
                Some((_, place)) => array.next_element_seed(Search { place, found: &mut *self.found })?.is_some(),
                None => array.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Which of the fields looked for a name is.
struct FieldOf<'p>(&'p [(Box<str>, Place)]);

impl<'de> DeserializeSeed<'de> for FieldOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<usize>, D::Error> {
        reader.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|(field, _)| **field == *name))
    }
}

#[cfg(test)]
mod tests;
