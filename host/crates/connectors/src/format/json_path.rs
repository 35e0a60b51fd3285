//! Fixed JSON paths: those that name one place, such as `$.user.id` or `$['a b'][0]`.
//!
//! The syntax is checked by a library of RFC 9535; what is left here is to refuse paths that may match many places.
//! Knows nothing of JSON documents.

use gristmill_ports::PortError;
use serde_json_path::JsonPath;

/// One step down into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// Into the field of an object.
    Field(String),
    /// Into an element of an array, counted from zero.
    Element(usize),
}

/// Reads a path that names one place.
///
/// # Errors
/// `Fatal` if the text is no JSON path, or if it may match more than one place.
pub(crate) fn parse_fixed_path(text: &str) -> Result<Vec<PathStep>, PortError> {
    JsonPath::parse(text).map_err(|error| {
        PortError::fatal(format!("`{text}` is not a json path: {}; write it such as $.user.id", error.message()))
    })?;
    steps_of(&text[1..]).ok_or_else(|| {
        PortError::fatal(format!(
            "the json path `{text}` does not name one fixed place; use field names and indices from zero only, such as $.items[0].id"
        ))
    })
}

/// The steps of a path that is known to be well formed, without its `$`; `None` if it is not fixed.
fn steps_of(mut rest: &str) -> Option<Vec<PathStep>> {
    let mut steps = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(steps);
        } else if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if name.starts_with('*') || end == 0 {
                return None;
            }
            steps.push(PathStep::Field(name[..end].trim_end().to_owned()));
            rest = &name[end..];
        } else {
            let (step, after) = bracket(rest.strip_prefix('[')?.trim_start())?;
            steps.push(step);
            rest = after.trim_start().strip_prefix(']')?;
        }
    }
}

/// What stands within brackets, and the text from there on.
fn bracket(text: &str) -> Option<(PathStep, &str)> {
    let first = text.chars().next()?;
    if first == '\'' || first == '"' {
        let (name, after) = text[1..].split_once(first)?;
        // An escape sequence in a name: so rare that reading it is not worth the code.
        return (!name.contains('\\')).then(|| (PathStep::Field(name.to_owned()), after));
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    Some((PathStep::Element(text[..end].parse().ok()?), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> PathStep {
        PathStep::Field(name.to_owned())
    }

    #[test]
    fn a_fixed_path_becomes_its_steps() {
        let table = [
            ("$", vec![]),
            ("$.ts", vec![field("ts")]),
            ("$.a.b_c", vec![field("a"), field("b_c")]),
            ("$['a b'][\"c.d\"]", vec![field("a b"), field("c.d")]),
            ("$.a[0][12].b", vec![field("a"), PathStep::Element(0), PathStep::Element(12), field("b")]),
            ("$.größe", vec![field("größe")]),
        ];
        for (text, steps) in table {
            assert_eq!(parse_fixed_path(text), Ok(steps), "{text}");
        }
    }

    #[test]
    fn a_path_to_many_places_is_refused_in_words() {
        for text in ["$.*", "$..a", "$.a[*]", "$.a[0:2]", "$[?@.a]", "$['a','b']", "$.a[-1]"] {
            let error = parse_fixed_path(text).expect_err(text);
            assert!(error.message.contains("one fixed place"), "{text}: {error}");
        }
    }

    #[test]
    fn a_text_that_is_no_path_is_refused_in_words() {
        for text in ["", "ts", "$.", "$ts", "$.a[", "$.a b"] {
            let error = parse_fixed_path(text).expect_err(text);
            assert!(error.message.contains("is not a json path"), "{text}: {error}");
        }
    }
}
