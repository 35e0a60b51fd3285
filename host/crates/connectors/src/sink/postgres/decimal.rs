//! Decimals of any length, looked at digit by digit: whether a `numeric` column holds them.

use crate::format::scalar;

/// Digits before the point that are let through where the column has no bound. PostgreSQL takes 131 072.
const MOST_DIGITS: i64 = 1000;

/// The text of a decimal, if a column of `bound` (digits, digits behind the point) holds it.
///
/// # Errors
/// Why not.
pub(super) fn checked(text: &str, bound: Option<(i32, i32)>) -> Result<&str, String> {
    let text = text.trim();
    let no_number = || format!("takes numbers, not {}", scalar::shown(text));
    let Parts { digits, point, exponent } = parts(text).ok_or_else(no_number)?;
    // The exponent of a zero too: it says how many digits are kept behind the point, or overflows by itself.
    if [text.len() as i64, point.abs(), exponent.abs()].into_iter().any(|size| size > MOST_DIGITS) {
        return Err(format!("takes numbers of at most {MOST_DIGITS} digits, not {}", scalar::shown(text)));
    }
    let Some((precision, scale)) = bound else { return Ok(text) };
    let room = i64::from(precision - scale);
    if point > room || (point == room && rounds_up(&digits, precision as usize)) {
        return Err(format!("takes numbers of {room} digits before the point, not {}", scalar::shown(text)));
    }
    Ok(text)
}

/// A number as `0.DIGITS × 10^POINT`, its first digit not zero; zero has no digits.
struct Parts {
    digits: Vec<u8>,
    point: i64,
    /// As it was written.
    exponent: i64,
}

/// The parts of `-12.5e3`; `None` for anything else.
fn parts(text: &str) -> Option<Parts> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, i64::from(exponent.parse::<i32>().ok()?)),
        None => (unsigned, 0),
    };
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if before.len() + behind.len() == 0 || !all_digits(before) || !all_digits(behind) {
        return None;
    }
    let digits: Vec<u8> = before.bytes().chain(behind.bytes()).collect();
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    let point = before.len() as i64 - leading as i64 + exponent;
    let digits = digits[leading..].to_vec();
    Some(Parts { point: if digits.is_empty() { 0 } else { point }, digits, exponent })
}

/// Checks every number in a JSON text, which is valid: `jsonb` keeps them as it does a `numeric` without a bound.
///
/// # Errors
/// Which one it does not hold.
pub(super) fn check_all(json: &str) -> Result<(), String> {
    let mut rest = json;
    while let Some(at) = rest.find(|letter: char| letter == '"' || letter == '-' || letter.is_ascii_digit()) {
        rest = &rest[at..];
        let end = match rest.strip_prefix('"') {
            Some(text) => 1 + end_of_text(text),
            None => {
                let number = |letter: char| letter.is_ascii_digit() || "+-.eE".contains(letter);
                let end = rest.find(|letter| !number(letter)).unwrap_or(rest.len());
                checked(&rest[..end], None)?;
                end
            }
        };
        rest = &rest[end..];
    }
    Ok(())
}

/// Where a text ends that begins behind its quote: behind the other quote.
fn end_of_text(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at + 1,
            // Whatever it escapes ends nothing.
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    text.len()
}

/// Whether rounding to so many digits makes it one digit longer: `999.995` becomes `1000.00`.
fn rounds_up(digits: &[u8], precision: usize) -> bool {
    digits.len() > precision && digits[..precision].iter().all(|digit| *digit == b'9') && digits[precision] >= b'5'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_the_digits_before_the_point() {
        for (text, bound, fits) in [
            ("12.5", None, true),
            ("-.5", None, true),
            ("5.", None, true),
            ("1e200", None, true),
            ("1e2000", None, false),
            ("1e99999999999", None, false),
            ("0e999", None, true),
            ("0e-20000", None, false),
            ("0e2147483647", None, false),
            ("0e2147483647", Some((5, 2)), false),
            ("NaN", None, false),
            ("", None, false),
            (".", None, false),
            ("1_000", None, false),
            ("999.994", Some((5, 2)), true),
            ("999.995", Some((5, 2)), false),
            ("-1000", Some((5, 2)), false),
            ("0000999", Some((5, 2)), true),
            ("0.1e4", Some((5, 2)), false),
            ("0.0099949", Some((3, 5)), true),
            ("0.01", Some((3, 5)), false),
            ("12345000", Some((5, -3)), true),
            ("100000000", Some((5, -3)), false),
        ] {
            assert_eq!(checked(text, bound).is_ok(), fits, "{text} in {bound:?}");
        }
    }

    #[test]
    fn every_number_in_a_json_text_is_looked_at_and_no_text() {
        for (json, fits) in [
            ("1e-20000", false),
            (r#"{"x": [1, {"y": -0e-20000}]}"#, false),
            (r#"[1,2e5,-3.25,true,null,{}]"#, true),
            (r#"{"1e-20000": "1e-20000 \" 1e-20000", "\\": "\\"}"#, true),
            (r#"{"\\": 1e-20000}"#, false),
            (r#"["\\\"",1e-20000]"#, false),
        ] {
            assert_eq!(check_all(json).is_ok(), fits, "{json}");
        }
    }
}
