//! The text of a cell, as `COPY` reads it; or why its column cannot hold it.
//!
//! Whatever passes here is taken by PostgreSQL: an event that it would refuse must be found before it is staged, while it
//! can still go to the dead letters.

use std::fmt::Write;

use serde_json::Value;

use super::decimal;
use crate::format::scalar;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellType {
    Bool,
    /// Whole numbers from `min` to `max`.
    Whole {
        min: i64,
        max: i64,
    },
    Real,
    Double,
    /// Decimals; of so many digits, so many of them behind the point.
    Numeric(Option<(i32, i32)>),
    /// Text of at most so many characters.
    Text(Option<usize>),
    /// With or without time zone.
    Timestamp,
    Date,
    Uuid,
    Json,
    Jsonb,
    Bytea,
}

impl CellType {
    /// The type by its name in `pg_type` and the modifier of its column; `None` for one that is not known here.
    pub(super) fn of(name: &str, modifier: i32) -> Option<Self> {
        let whole = |min, max| Self::Whole { min, max };
        // Modifiers are 4 more than what was written, and -1 if nothing was.
        let written = (modifier >= 4).then_some(modifier - 4);
        Some(match name {
            "bool" => Self::Bool,
            "int2" => whole(i16::MIN.into(), i16::MAX.into()),
            "int4" => whole(i32::MIN.into(), i32::MAX.into()),
            "int8" => whole(i64::MIN, i64::MAX),
            "float4" => Self::Real,
            "float8" => Self::Double,
            // Eleven bits of scale, which may be negative.
            "numeric" => Self::Numeric(written.map(|bits| (bits >> 16 & 0xffff, (bits & 0x7ff ^ 0x400) - 0x400))),
            "text" => Self::Text(None),
            "varchar" | "bpchar" => Self::Text(written.map(|length| length as usize)),
            "timestamp" | "timestamptz" => Self::Timestamp,
            "date" => Self::Date,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "bytea" => Self::Bytea,
            _ => return None,
        })
    }

    /// Appends what a JSON text becomes in this column.
    ///
    /// # Errors
    /// Why the column cannot hold it; something may have been appended.
    pub(super) fn write(self, json: &str, out: &mut String) -> Result<(), String> {
        match self {
            Self::Bool => put(out, scalar::boolean(json)?),
            Self::Whole { min, max } => {
                let number = scalar::whole_number(json)?;
                if !(min..=max).contains(&number) {
                    return Err(format!("takes whole numbers from {min} to {max}, not {number}"));
                }
                put(out, number);
            }
            Self::Real => {
                let number = scalar::number(json)? as f32;
                if !number.is_finite() {
                    return Err(format!("takes numbers up to {:e}, not {}", f32::MAX, scalar::shown(json)));
                }
                put(out, format_args!("{number:e}"));
            }
            Self::Double => put(out, format_args!("{:e}", scalar::number(json)?)),
            Self::Numeric(bound) => escaped(decimal::checked(&scalar::text(json)?, bound)?, out),
            Self::Text(longest) => write_text(&scalar::text(json)?, longest, out)?,
            Self::Timestamp => put(out, since_year_one(json)?),
            Self::Date => put(out, date(json)?),
            Self::Uuid => put(out, uuid(&scalar::text(json)?)?),
            Self::Json | Self::Jsonb => {
                let value: Value = serde_json::from_str(json).map_err(|error| format!("takes json: {error}"))?;
                if self == Self::Jsonb && json.contains("\\u0000") && has_nul(&value) {
                    return Err("takes json without the character \\u0000".to_owned());
                }
                if self == Self::Jsonb {
                    decimal::check_all(json)?;
                }
                escaped(json, out);
            }
            Self::Bytea => write_bytes(scalar::text(json)?.as_bytes(), out),
        }
        Ok(())
    }

    /// Appends what a key becomes in this column.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub(super) fn write_key(self, key: &[u8], out: &mut String) -> Result<(), String> {
        if self == Self::Bytea {
            write_bytes(key, out);
            return Ok(());
        }
        let text = std::str::from_utf8(key).map_err(|_| "takes text, and the key is not utf-8".to_owned())?;
        self.write(&serde_json::to_string(text).expect("text is json"), out)
    }
}

fn put(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("a string takes everything");
}

/// Text with the escapes of `COPY`.
fn escaped(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter => out.push(letter),
        }
    }
}

fn write_text(text: &str, longest: Option<usize>, out: &mut String) -> Result<(), String> {
    if text.contains('\0') {
        return Err("takes text without the character \\u0000".to_owned());
    }
    if let Some(longest) = longest.filter(|longest| text.chars().nth(*longest).is_some()) {
        return Err(format!("takes at most {longest} characters, not {}", scalar::shown(text)));
    }
    escaped(text, out);
    Ok(())
}

fn write_bytes(bytes: &[u8], out: &mut String) {
    out.push_str("\\\\x");
    bytes.iter().for_each(|byte| put(out, format_args!("{byte:02x}")));
}

/// PostgreSQL writes years before the first in another way.
fn since_year_one(json: &str) -> Result<jiff::Timestamp, String> {
    let instant = scalar::instant(json)?;
    let year = instant.to_zoned(jiff::tz::TimeZone::UTC).year();
    if year < 1 { Err(format!("takes times since the year 1, not {}", scalar::shown(json))) } else { Ok(instant) }
}

/// `2026-11-21`, or the day of a point in time at UTC.
fn date(json: &str) -> Result<jiff::civil::Date, String> {
    let text = scalar::text(json)?;
    match text.trim().parse::<jiff::civil::Date>() {
        Ok(date) if date.year() >= 1 && text.trim().len() == 10 => Ok(date),
        Ok(_) | Err(_) => Ok(since_year_one(json)?.to_zoned(jiff::tz::TimeZone::UTC).date()),
    }
}

fn uuid(text: &str) -> Result<&str, String> {
    let text = text.trim();
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(at, _)| at);
    let dashed = text.len() == 36 && dashes.eq([8, 13, 18, 23]);
    if digits == 32 && (text.len() == 32 || dashed) {
        return Ok(text);
    }
    Err(format!("takes uuids, not {}", scalar::shown(text)))
}

/// Whether a text or a name in it has a zero character, which PostgreSQL cannot keep.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, modifier: i32, json: &str) -> Option<String> {
        let mut out = String::new();
        let kind = CellType::of(name, modifier).expect("a known type");
        kind.write(json, &mut out).ok().map(|()| out)
    }

    #[test]
    fn values_become_what_their_column_reads_or_are_refused() {
        let numeric = 4 + (5 << 16 | 2);
        for (name, modifier, json, wanted) in [
            ("bool", -1, "true", Some("true")),
            ("bool", -1, "1", None),
            ("int2", -1, "32767", Some("32767")),
            ("int2", -1, "32768", None),
            ("int4", -1, "\"7\"", Some("7")),
            ("int8", -1, "1.5", None),
            ("float4", -1, "1e39", None),
            ("float4", -1, "1e-60", Some("0e0")),
            ("float8", -1, "1e300", Some("1e300")),
            ("numeric", -1, "123456789012345678901234567890.5", Some("123456789012345678901234567890.5")),
            ("numeric", numeric, "999.99", Some("999.99")),
            ("numeric", numeric, "999.995", None),
            ("text", -1, r#""a\tb\\c\nd""#, Some("a\\tb\\\\c\\nd")),
            ("text", -1, r#""\u0000""#, None),
            ("text", -1, r#"{"a": 1}"#, Some(r#"{"a": 1}"#)),
            ("varchar", 4 + 3, "\"äöü\"", Some("äöü")),
            ("varchar", 4 + 3, "\"äöüß\"", None),
            ("timestamptz", -1, "1500", Some("1970-01-01T00:00:01.5Z")),
            ("timestamptz", -1, "\"2026-11-21T17:15:07.123456+01:00\"", Some("2026-11-21T16:15:07.123456Z")),
            ("timestamp", -1, "\"-000001-01-01T00:00:00Z\"", None),
            ("timestamp", -1, "9223372036854775807", None),
            ("date", -1, "\"2026-11-21\"", Some("2026-11-21")),
            ("date", -1, "86400000", Some("1970-01-02")),
            ("date", -1, "\"soon\"", None),
            ("uuid", -1, "\"123e4567-e89b-12d3-a456-426614174000\"", Some("123e4567-e89b-12d3-a456-426614174000")),
            ("uuid", -1, "\"123e4567-e89b-12d3-a456-42661417400\"", None),
            ("jsonb", -1, r#"{"a": "\\u0000"}"#, Some(r#"{"a": "\\\\u0000"}"#)),
            ("jsonb", -1, r#"["\u0000"]"#, None),
            ("json", -1, r#"["\u0000"]"#, Some(r#"["\\u0000"]"#)),
            ("bytea", -1, "\"ab\"", Some("\\\\x6162")),
        ] {
            assert_eq!(written(name, modifier, json).as_deref(), wanted, "{json} as {name}");
        }
        assert_eq!(CellType::of("inet", -1), None);
    }

    #[test]
    fn json_that_is_nested_without_an_end_is_refused() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(written("jsonb", -1, &deep), None);
    }

    #[test]
    fn a_key_is_text_whatever_it_looks_like() {
        let mut out = String::new();
        CellType::Text(None).write_key(b"\"a\"", &mut out).expect("text");
        CellType::Bytea.write_key(b"\xff", &mut out).expect("bytes");
        assert_eq!(out, "\"a\"\\\\xff");
        assert!(CellType::Text(None).write_key(b"\xff", &mut out).is_err());
    }
}
