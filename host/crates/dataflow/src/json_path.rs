//! JSON paths that lead to one place: names and indexes only.
//!
//! A key or a time is picked from every event, so its path must not search: `$.items[0].id` is fixed, `$..id` and
//! `$.items[*]` are not.

use serde_json_path::JsonPath;

/// A path that leads to at most one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FixedPath(Vec<PathStep>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathStep {
    /// Into the field of an object.
    Name(String),
    /// Into the item of an array, counted from zero.
    Index(usize),
}

/// Why a text is not a fixed path: a sentence without its subject, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {message}; {hint}")]
pub struct PathError {
    /// The text.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl FixedPath {
    /// Reads a path such as `$.customer.id`, `$['a key'][0]` or `$`.
    ///
    /// # Errors
    /// If the text is not a JSON path (RFC 9535), or one that could lead to several values.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let refuse = |message: String, hint: String| PathError { path: path.to_owned(), message, hint };
        if JsonPath::parse(path).is_err() {
            let rooted = format!("$.{path}");
            let hint = match JsonPath::parse(&rooted) {
                Ok(_) => format!("did you mean `{rooted}`?"),
                Err(_) => "write it such as $.customer.id".to_owned(),
            };
            return Err(refuse("is not a JSON path".to_owned(), hint));
        }
        steps(path).map(Self).ok_or_else(|| {
            let hint = "use names and indexes only, such as $.customer.id or $.items[0]";
            refuse("may lead to several values".to_owned(), hint.to_owned())
        })
    }

    /// From the outermost value inwards; empty for `$`.
    #[must_use]
    pub fn steps(&self) -> &[PathStep] {
        &self.0
    }
}

/// The steps of a text that is known to be a JSON path; `None` if one of them searches.
///
/// The library that checked the text keeps its steps to itself, hence this second look.
fn steps(path: &str) -> Option<Vec<PathStep>> {
    let mut rest = path.strip_prefix('$')?.trim_start();
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('.') {
            Some(named) => dotted(named)?,
            None => bracketed(rest.strip_prefix('[')?.trim_start())?,
        };
        steps.push(step);
        rest = after.trim_start();
    }
    Some(steps)
}

/// `name` and what follows; `*` and a second dot search.
fn dotted(rest: &str) -> Option<(PathStep, &str)> {
    let end = rest.find(|letter: char| matches!(letter, '.' | '[') || letter.is_whitespace()).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    (!name.is_empty() && name != "*").then(|| (PathStep::Name(name.to_owned()), after))
}

/// `'name']` or `0]` and what follows; everything else in brackets searches.
fn bracketed(rest: &str) -> Option<(PathStep, &str)> {
    let (step, after) = match rest.chars().next()? {
        quote @ ('\'' | '"') => quoted(&rest[1..], quote)?,
        _ => {
            let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
            (PathStep::Index(rest[..end].parse().ok()?), &rest[end..])
        }
    };
    Some((step, after.trim_start().strip_prefix(']')?))
}

/// A quoted name whose first quote is gone. Its escapes are those of JSON, and `\'`.
fn quoted(rest: &str, quote: char) -> Option<(PathStep, &str)> {
    let mut json = String::from('"');
    let mut letters = rest.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => match letters.next()?.1 {
                '\'' => json.push('\''),
                escaped => json.extend(['\\', escaped]),
            },
            '"' if quote == '\'' => json.push_str("\\\""),
            end if end == quote => {
                json.push('"');
                return Some((PathStep::Name(serde_json::from_str(&json).ok()?), &rest[at + 1..]));
            }
            plain => json.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> PathStep {
        PathStep::Name(name.to_owned())
    }

    #[test]
    fn fixed_paths_have_steps() {
        for (path, steps) in [
            ("$", vec![]),
            ("$.a.b_c", vec![name("a"), name("b_c")]),
            ("$.items[0].id", vec![name("items"), PathStep::Index(0), name("id")]),
            ("$['a b'][\"c\"]", vec![name("a b"), name("c")]),
            (r#"$['it\'s "x"']['\u00e9\\']"#, vec![name("it's \"x\""), name("é\\")]),
            ("$ .a [ 1 ]", vec![name("a"), PathStep::Index(1)]),
            ("$.größe", vec![name("größe")]),
        ] {
            assert_eq!(FixedPath::parse(path).expect(path).steps(), steps, "{path}");
        }
    }

    #[test]
    fn paths_that_search_are_refused() {
        for path in ["$..a", "$.*", "$[*]", "$.a[1:2]", "$['a','b']", "$[?@.a == 1]", "$[-1]"] {
            let error = FixedPath::parse(path).expect_err(path);
            assert_eq!(error.message, "may lead to several values", "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_told_what_one_looks_like() {
        for (text, hint) in [
            ("customer_id", "did you mean `$.customer_id`?"),
            ("customer.id", "did you mean `$.customer.id`?"),
            ("", "write it such as $.customer.id"),
            ("$.", "write it such as $.customer.id"),
            ("$.a[", "write it such as $.customer.id"),
        ] {
            assert_eq!(FixedPath::parse(text).expect_err(text).hint, hint, "{text:?}");
        }
    }
}
