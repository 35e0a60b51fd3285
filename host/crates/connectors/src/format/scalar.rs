//! The value of a column from its JSON text, or why it is none.
//!
//! Shared by everything that writes typed columns; the sentences leave out the column, which the caller knows.

use std::borrow::Cow;
use std::str::FromStr;

use jiff::Timestamp;

use super::json::unescape;

/// What is shown of a value that does not fit.
const SHOWN: usize = 40;

/// Whole numbers up to here are floating-point numbers without loss.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The text of a JSON string, or the JSON text of anything else.
///
/// # Errors
/// If an escape names half of a surrogate pair.
pub(crate) fn text(json: &str) -> Result<Cow<'_, str>, String> {
    if json.starts_with('"') { unescape(json) } else { Ok(json.into()) }
}

/// A whole number: `7`, `7.0`, `"7"`.
///
/// # Errors
/// That it is none, or too large for 64 bits.
pub(crate) fn whole_number(json: &str) -> Result<i64, String> {
    let text = text(json)?;
    if let Ok(number) = i64::from_str(text.trim()) {
        return Ok(number);
    }
    match f64::from_str(text.trim()) {
        Ok(number) if number.fract() == 0.0 && number.abs() <= EXACT => Ok(number as i64),
        Ok(_) | Err(_) => Err(format!("takes whole numbers of 64 bits, not {}", shown(json))),
    }
}

/// A number: `7`, `-7.25e3`, `"7.25"`.
///
/// # Errors
/// That it is none.
pub(crate) fn number(json: &str) -> Result<f64, String> {
    let text = text(json)?;
    match f64::from_str(text.trim()) {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) | Err(_) => Err(format!("takes numbers, not {}", shown(json))),
    }
}

/// `true` or `false`, or one of these as a text.
///
/// # Errors
/// That it is neither.
pub(crate) fn boolean(json: &str) -> Result<bool, String> {
    match text(json)?.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("takes true or false, not {}", shown(json))),
    }
}

/// A point in time in milliseconds since the epoch: such a number, or a text in the manner of RFC 3339.
///
/// # Errors
/// That it is none.
pub(crate) fn timestamp(json: &str) -> Result<i64, String> {
    whole_number(json).or_else(|_| instant(json).map(Timestamp::as_millisecond))
}

/// A point in time as exact as it was written: see [`timestamp`].
///
/// # Errors
/// That it is none, or before the year -9999 or after 9999.
pub(crate) fn instant(json: &str) -> Result<Timestamp, String> {
    let instant = match whole_number(json) {
        Ok(millis) => Timestamp::from_millisecond(millis),
        Err(_) => Timestamp::from_str(text(json)?.trim()),
    };
    instant.map_err(|_| {
        format!("takes milliseconds since the epoch or a time such as 2026-11-21T17:15:07Z, not {}", shown(json))
    })
}

/// The beginning of a value in backticks.
pub(crate) fn shown(json: &str) -> String {
    match json.char_indices().nth(SHOWN) {
        None => format!("`{json}`"),
        Some((end, _)) => format!("`{}…`", &json[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_they_say_or_are_refused() {
        for (json, wanted) in [
            ("7", Some(7)),
            ("-0", Some(0)),
            ("7.0", Some(7)),
            ("1e3", Some(1000)),
            ("\" 7 \"", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("7.5", None),
            ("\"\"", None),
            ("true", None),
            ("[7]", None),
        ] {
            assert_eq!(whole_number(json).ok(), wanted, "{json}");
        }
        assert_eq!(number("-7.25e1"), Ok(-72.5));
        for bad in ["1e999", "\"NaN\"", "\"inf\"", "{}"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_read_in_both_ways() {
        for (json, wanted) in [
            ("1500", 1500),
            ("\"1970-01-01T00:00:01.5Z\"", 1500),
            ("\"1970-01-01T01:00:01.5+01:00\"", 1500),
            ("\"1969-12-31T23:59:59Z\"", -1000),
        ] {
            assert_eq!(timestamp(json), Ok(wanted), "{json}");
        }
        assert!(timestamp("\"yesterday\"").expect_err("no time").ends_with("not `\"yesterday\"`"));
    }

    #[test]
    fn a_long_value_is_shown_by_its_beginning() {
        let long = "é".repeat(100);
        assert_eq!(shown(&long), format!("`{}…`", "é".repeat(40)));
    }
}
