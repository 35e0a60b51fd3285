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
    let Parts { digits, point } = parts(text).ok_or_else(no_number)?;
    if text.len() as i64 > MOST_DIGITS || point.abs() > MOST_DIGITS {
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
}

/// The parts of `-12.5e3`; `None` for anything else.
fn parts(text: &str) -> Option<Parts> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if before.len() + behind.len() == 0 || !all_digits(before) || !all_digits(behind) {
        return None;
    }
    let digits: Vec<u8> = before.bytes().chain(behind.bytes()).collect();
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    let point = before.len() as i64 - leading as i64 + i64::from(exponent);
    let digits = digits[leading..].to_vec();
    Some(if digits.is_empty() { Parts { digits, point: 0 } } else { Parts { digits, point } })
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
}
