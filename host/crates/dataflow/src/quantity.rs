//! Quantities as people write them in a job document: `5s`, `64MiB`, `2013-01-15T00:00:00Z`.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, written such as `250ms`, `5s` or `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse =
            || D::Error::custom(format!("`{text}` is not a length of time: write it such as 250ms, 5s or 1m 30s"));
        let span: jiff::SignedDuration = text.parse().map_err(|_| refuse())?;
        Duration::try_from(span).map(Span).map_err(|_| refuse())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = jiff::SignedDuration::try_from(self.0).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(&format_args!("{span:#}"))
    }
}

/// A moment of event time in milliseconds since the epoch, written such as `2013-01-15T00:00:00Z` or as that number. A text
/// without an offset is taken as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl fmt::Display for Moment {
    /// As a date and time, where the calendar has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => instant.fmt(f),
            Err(_) => self.0.fmt(f),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => serializer.collect_str(&instant),
            Err(_) => serializer.serialize_i64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MomentVisitor;

        impl Visitor<'_> for MomentVisitor {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2013-01-15T00:00:00Z, or its milliseconds since the epoch")
            }

            fn visit_i64<E>(self, ms: i64) -> Result<Moment, E> {
                Ok(Moment(ms))
            }

            fn visit_u64<E: Error>(self, ms: u64) -> Result<Moment, E> {
                i64::try_from(ms).map(Moment).map_err(|_| E::invalid_value(Unexpected::Unsigned(ms), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
                let utc = |local| jiff::tz::Offset::UTC.to_timestamp(local).ok();
                let instant = text.parse::<jiff::Timestamp>().ok();
                let instant = instant.or_else(|| text.parse::<jiff::civil::DateTime>().ok().and_then(utc));
                let refuse = || E::invalid_value(Unexpected::Str(text), &self);
                instant.map(|instant| Moment(instant.as_millisecond())).ok_or_else(refuse)
            }
        }

        deserializer.deserialize_any(MomentVisitor)
    }
}

/// A number of bytes, written such as `64MiB`, `10kB` or plain `4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many times 1024 bytes.
    #[must_use]
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// So many times 1024 × 1024 bytes.
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit that leaves no fraction, so that it reads back as the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            bytes if bytes.trailing_zeros() >= 30 => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes.trailing_zeros() >= 20 => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes.trailing_zeros() >= 10 => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes such as 4096 or 64MiB")
            }

            fn visit_u64<E>(self, bytes: u64) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }

            fn visit_i64<E: Error>(self, bytes: i64) -> Result<Bytes, E> {
                u64::try_from(bytes).map(Bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
                let size: Result<bytesize::ByteSize, _> = text.parse();
                size.map(|size| Bytes(size.as_u64())).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(BytesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reread<T: Serialize + for<'de> Deserialize<'de>>(quantity: &T) -> T {
        let text = serde_json::to_string(quantity).expect("quantities are texts");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    proptest! {
        #[test]
        fn quantities_read_back_as_they_were(
            bytes: u64, shift in 0u32..64, nanos in 0u64..=i64::MAX as u64, ms: i64, near_ms in -1i64 << 44..1 << 44,
        ) {
            prop_assert_eq!(reread(&Moment(ms)), Moment(ms));
            prop_assert_eq!(reread(&Moment(near_ms)), Moment(near_ms));
            let bytes = Bytes(bytes >> shift << (shift / 2));
            prop_assert_eq!(reread(&bytes), bytes);
            let span = Span(Duration::from_nanos(nanos));
            prop_assert_eq!(reread(&span), span);
        }
    }

    #[test]
    fn a_moment_is_a_date_and_time_or_a_number() {
        let moment = 1_358_208_000_000;
        for text in ["2013-01-15T00:00:00Z", "2013-01-15T01:00:00+01:00", "2013-01-15 00:00", "2013-01-15"] {
            assert_eq!(serde_json::from_str::<Moment>(&format!("\"{text}\"")).expect(text), Moment(moment));
        }
        assert_eq!(serde_json::from_str::<Moment>("1358208000000").expect("a number"), Moment(moment));
        let error = serde_json::from_str::<Moment>("\"yesterday\"").expect_err("no time").to_string();
        assert!(error.contains("a time such as 2013-01-15T00:00:00Z"), "{error}");
    }

    #[test]
    fn bytes_are_written_in_the_units_of_people() {
        for (text, bytes) in [("64MiB", 64 << 20), ("10kB", 10_000), ("4096", 4096), ("1 GiB", 1 << 30)] {
            let quoted = format!("\"{text}\"");
            assert_eq!(serde_json::from_str::<Bytes>(&quoted).expect(text), Bytes(bytes));
        }
        assert_eq!(serde_json::from_str::<Bytes>("4096").expect("a number"), Bytes(4096));
    }
}
