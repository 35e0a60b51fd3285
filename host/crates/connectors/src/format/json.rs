//! Checks JSON and finds fixed places in it, in one pass.
//!
//! The parsing is sonic-rs'. Three things are added, since its skipping reader leaves them out: the text must be UTF-8,
//! `\u` must be followed by four hexadecimal digits, and values must not be nested so deep that the reader's recursion
//! could exhaust the stack. Knows nothing of events.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

use super::json_path::PathStep;

/// How deep arrays and objects may be nested, as in most readers of JSON.
const MAX_DEPTH: usize = 128;

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
    /// The places at the ends of these paths.
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a [PathStep]>) -> Self {
        let mut root = Place::default();
        for (number, path) in paths.into_iter().enumerate() {
            path.iter().fold(&mut root, Place::child).wanted.push(number);
        }
        Self { root }
    }

    /// Checks a whole JSON text and calls `found` with the number and the JSON text of each place that it has.
    ///
    /// Where an object names a field twice, `found` is called for both in order: the last one counts, as it does for
    /// nearly every reader of JSON, and so for guests.
    ///
    /// # Errors
    /// What is wrong with the text, with its line and column. `found` may have been called before.
    pub(crate) fn find(&self, json: &[u8], mut found: impl FnMut(usize, &str)) -> Result<(), String> {
        let text =
            std::str::from_utf8(json).map_err(|error| format!("not utf-8 from byte {} on", error.valid_up_to()))?;
        check_escapes(json)?;
        check_depth(json)?;
        let mut reader = sonic_rs::Deserializer::from_str(text);
        let search = Search { place: &self.root, found: &mut found };
        search.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| in_one_line(&error))
    }
}

impl Place {
    fn child(&mut self, step: &PathStep) -> &mut Self {
        match step {
            PathStep::Field(name) => {
                let at = self.fields.iter().position(|(field, _)| **field == **name).unwrap_or_else(|| {
                    self.fields.push((name.as_str().into(), Self::default()));
                    self.fields.len() - 1
                });
                &mut self.fields[at].1
            }
            PathStep::Element(index) => {
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
pub(crate) fn unescape(raw: &str) -> Result<std::borrow::Cow<'_, str>, String> {
    let inner = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(plain) if memchr::memchr(b'\\', plain.as_bytes()).is_none() => Ok(plain.into()),
        Some(_) | None => sonic_rs::from_str::<String>(raw).map(Into::into).map_err(|error| in_one_line(&error)),
    }
}

/// Sonic-rs draws a picture below the first line of its errors; reasons are one line.
fn in_one_line(error: &sonic_rs::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    format!("not json: {}", line.strip_suffix('.').unwrap_or(line))
}

/// Sonic-rs skips five bytes after a `\u` unseen. In a text that it accepts otherwise, backslashes stand in strings
/// only, so pairing them up from the left is what it does too.
fn check_escapes(json: &[u8]) -> Result<(), String> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\\', &json[from..]) {
        let escape = from + at + 1;
        from = escape + 1;
        if json.get(escape) == Some(&b'u') {
            let digits = json.get(from..from + 4).unwrap_or_default();
            if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                return Err(format!("not json: `\\u` without four hexadecimal digits at byte {escape}"));
            }
            from += 4;
        }
        if from >= json.len() {
            break;
        }
    }
    Ok(())
}

/// Bounds the recursion of the parser. The plain count serves nearly every event; only values with many brackets are
/// looked at closely.
fn check_depth(json: &[u8]) -> Result<(), String> {
    let opening = json.iter().filter(|&&byte| byte == b'{' || byte == b'[').count();
    if opening > MAX_DEPTH && deepest(json) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH} levels"));
    }
    Ok(())
}

/// How deep brackets outside of strings are nested; exact up to the first error in the text.
fn deepest(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut at) = (0_usize, 0, false, 0);
    while let Some(byte) = json.get(at) {
        at += 1;
        match (in_string, byte) {
            (true, b'\\') => at += 1,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (true | false, _) => {}
        }
    }
    deepest
}

/// Looks for the places below one place in the value that stands there.
struct Search<'p, F> {
    place: &'p Place,
    found: &'p mut F,
}

impl<'de, F: FnMut(usize, &str)> DeserializeSeed<'de> for Search<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        if self.place.wanted.is_empty() {
            return if self.place.is_last() {
                reader.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| ())
            } else {
                reader.deserialize_any(self)
            };
        }
        let value: LazyValue<'de> = serde::Deserialize::deserialize(reader)?;
        let raw = value.as_raw_str();
        self.place.wanted.iter().for_each(|&number| (self.found)(number, raw));
        if self.place.is_last() {
            return Ok(());
        }
        // Wanted as a whole and in part: read once more, which only such pairs of paths pay for.
        let mut again = sonic_rs::Deserializer::from_str(raw);
        Deserializer::deserialize_any(&mut again, self).map_err(serde::de::Error::custom)
    }
}

impl<'de, F: FnMut(usize, &str)> Visitor<'de> for Search<'_, F> {
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
