//! Reads an event's own time from the JSON text that stands at its place.
//!
//! Knows nothing of where that place is.

use gristmill_dataflow::document::TimeUnit;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::json::unescape;

/// The times that a calendar has: ± 100 million days around the epoch, in milliseconds. A time beyond is nearly always
/// one in another unit.
const FARTHEST_MS: i64 = 8_640_000_000_000_000;

/// The time in milliseconds since the epoch. `raw` is a JSON number, or a string that holds a number or, for
/// [`TimeUnit::Iso`], a date and time.
///
/// # Errors
/// Why it is no such time.
pub(crate) fn read_event_time(raw: &str, unit: TimeUnit) -> Result<i64, String> {
    let text = if raw.starts_with('"') { unescape(raw)? } else { raw.into() };
    let ms = match unit {
        TimeUnit::Iso => return read_iso(&text),
        TimeUnit::S => scaled(&text, 1000, 1),
        TimeUnit::Ms => scaled(&text, 1, 1),
        TimeUnit::Us => scaled(&text, 1, 1000),
        TimeUnit::Ns => scaled(&text, 1, 1_000_000),
    };
    let ms = ms.ok_or_else(|| format!("{raw} is not a number of {}", word(unit)))?;
    if ms.abs() > FARTHEST_MS {
        return Err(format!("{raw} {} lie outside of the calendar; check `unit`", word(unit)));
    }
    Ok(ms)
}

/// `text * times / over`, rounded down; saturates, so that the caller's check of the range sees it.
fn scaled(text: &str, times: i64, over: i64) -> Option<i64> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.saturating_mul(times).div_euclid(over).clamp(-i64::MAX, i64::MAX));
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    // The cast saturates.
    Some(((number * times as f64 / over as f64).floor() as i64).max(-i64::MAX))
}

fn read_iso(text: &str) -> Result<i64, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant.as_millisecond());
    }
    let instant = text.parse::<DateTime>().ok().and_then(|local| Offset::UTC.to_timestamp(local).ok());
    instant.map(Timestamp::as_millisecond).ok_or_else(|| format!("`{text}` is not a time such as 2013-01-01T05:00:00Z"))
}

fn word(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::S => "seconds",
        TimeUnit::Ms => "milliseconds",
        TimeUnit::Us => "microseconds",
        TimeUnit::Ns => "nanoseconds",
        TimeUnit::Iso => "an iso time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_becomes_milliseconds() {
        let table = [
            ("1357016400", TimeUnit::S, 1_357_016_400_000),
            ("1357016400.25", TimeUnit::S, 1_357_016_400_250),
            ("1.3570164e9", TimeUnit::S, 1_357_016_400_000),
            ("1357016400000", TimeUnit::Ms, 1_357_016_400_000),
            ("\"1357016400000\"", TimeUnit::Ms, 1_357_016_400_000),
            ("-1", TimeUnit::Ms, -1),
            ("-1", TimeUnit::Us, -1),
            ("1357016400000999", TimeUnit::Us, 1_357_016_400_000),
            ("1357016400000000000", TimeUnit::Ns, 1_357_016_400_000),
            ("\"2013-01-01T05:00:00Z\"", TimeUnit::Iso, 1_357_016_400_000),
            ("\"2013-01-01T00:00:00-05:00\"", TimeUnit::Iso, 1_357_016_400_000),
            ("\"2013-01-01T05:00:00\"", TimeUnit::Iso, 1_357_016_400_000),
            ("\"2013-01-01 05:00:00.5\"", TimeUnit::Iso, 1_357_016_400_500),
            ("\"2013-01-01\"", TimeUnit::Iso, 1_356_998_400_000),
        ];
        for (raw, unit, ms) in table {
            assert_eq!(read_event_time(raw, unit), Ok(ms), "{raw} in {unit:?}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_in_words() {
        let table = [
            ("true", TimeUnit::Ms, "not a number"),
            ("\"soon\"", TimeUnit::S, "not a number"),
            ("\"inf\"", TimeUnit::S, "not a number"),
            ("{}", TimeUnit::Ms, "not a number"),
            ("1357016400000000000", TimeUnit::Ms, "check `unit`"),
            ("9223372036854775807", TimeUnit::S, "check `unit`"),
            ("-9223372036854775808", TimeUnit::Ms, "check `unit`"),
            ("-1e300", TimeUnit::Ms, "check `unit`"),
            ("\"2013-13-01T00:00:00Z\"", TimeUnit::Iso, "not a time"),
            ("5", TimeUnit::Iso, "not a time"),
        ];
        for (raw, unit, words) in table {
            let reason = read_event_time(raw, unit).expect_err(raw);
            assert!(reason.contains(words), "{raw}: {reason}");
        }
    }
}
