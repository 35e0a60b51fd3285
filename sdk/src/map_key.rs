//! Keys of map states, written so that the order of the bytes is the order of the keys. **A law: these bytes lie in
//! checkpoints and savepoints.**
//!
//! | key | bytes |
//! |---|---|
//! | `u8` … `u64` | big-endian, full width |
//! | `i8` … `i64` | the same with the sign bit flipped, so that negative numbers come first |
//! | `bool` | 0 or 1 |
//! | `String`, `Vec<u8>` | as they are, when last; before another part of a tuple each 0 becomes 0 255, and 0 0 ends it |
//! | `(A, B)` | A, then B |

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Something that can be written as a key of a map state, or looked up in one.
pub trait EncodeKey {
    /// Appends the key as the last part: no end is marked.
    fn encode(&self, out: &mut Vec<u8>);

    /// Appends the key with its end marked, so that another part may follow.
    fn encode_part(&self, out: &mut Vec<u8>);
}

/// A key of a map state.
///
/// As JSON, for people, it is what serde makes of it.
pub trait MapKey: EncodeKey + Serialize + DeserializeOwned {
    /// Reads a key that stands last. `None` if the bytes are not such a key.
    fn decode(bytes: &[u8]) -> Option<Self>;

    /// Reads a key with its end marked, and gives the bytes that follow. `None` if the bytes do not begin so.
    fn decode_part(bytes: &[u8]) -> Option<(Self, &[u8])>;
}

macro_rules! integer_keys {
    ($($integer:ty, $flip:expr);* $(;)?) => {$(
        impl EncodeKey for $integer {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&(*self ^ $flip).to_be_bytes());
            }

            fn encode_part(&self, out: &mut Vec<u8>) {
                self.encode(out);
            }
        }

        impl MapKey for $integer {
            fn decode(bytes: &[u8]) -> Option<Self> {
                Some(<$integer>::from_be_bytes(bytes.try_into().ok()?) ^ $flip)
            }

            fn decode_part(bytes: &[u8]) -> Option<(Self, &[u8])> {
                let (part, rest) = bytes.split_at_checked(size_of::<$integer>())?;
                Some((Self::decode(part)?, rest))
            }
        }
    )*};
}

integer_keys! {
    u8, 0; u16, 0; u32, 0; u64, 0;
    i8, i8::MIN; i16, i16::MIN; i32, i32::MIN; i64, i64::MIN;
}

impl EncodeKey for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

impl MapKey for bool {
    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn decode_part(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (part, rest) = bytes.split_at_checked(1)?;
        Some((Self::decode(part)?, rest))
    }
}

impl EncodeKey for [u8] {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        for &byte in self {
            out.push(byte);
            if byte == 0 {
                out.push(255);
            }
        }
        out.extend_from_slice(&[0, 0]);
    }
}

impl MapKey for Vec<u8> {
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }

    fn decode_part(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut part = Self::new();
        let mut rest = bytes;
        loop {
            let (byte, after) = match rest {
                [0, 0, after @ ..] => return Some((part, after)),
                [0, 255, after @ ..] => (0, after),
                [] | [0, ..] => return None,
                [byte, after @ ..] => (*byte, after),
            };
            part.push(byte);
            rest = after;
        }
    }
}

impl MapKey for String {
    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::from_utf8(bytes.to_vec()).ok()
    }

    fn decode_part(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (part, rest) = Vec::decode_part(bytes)?;
        Some((Self::from_utf8(part).ok()?, rest))
    }
}

macro_rules! keys_as_bytes {
    ($($key:ty),*) => {$(
        impl EncodeKey for $key {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                <Self as AsRef<[u8]>>::as_ref(self).encode(out);
            }

            fn encode_part(&self, out: &mut Vec<u8>) {
                <Self as AsRef<[u8]>>::as_ref(self).encode_part(out);
            }
        }
    )*};
}

keys_as_bytes!(str, String, Vec<u8>);

impl<A: EncodeKey, B: EncodeKey> EncodeKey for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode_part(out);
        self.1.encode(out);
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        self.0.encode_part(out);
        self.1.encode_part(out);
    }
}

impl<A: MapKey, B: MapKey> MapKey for (A, B) {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = A::decode_part(bytes)?;
        Some((first, B::decode(rest)?))
    }

    fn decode_part(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (first, rest) = A::decode_part(bytes)?;
        let (second, rest) = B::decode_part(rest)?;
        Some(((first, second), rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(key: &impl EncodeKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn bytes_stand_in_the_order_of_the_keys(a: (i64, String), b: (i64, String)) {
            prop_assert_eq!(a.cmp(&b), bytes_of(&a).cmp(&bytes_of(&b)));
        }

        #[test]
        fn a_text_before_another_part_keeps_the_order(a: (String, u16), b: (String, u16)) {
            prop_assert_eq!(a.cmp(&b), bytes_of(&a).cmp(&bytes_of(&b)));
        }

        #[test]
        fn keys_come_back_as_they_were(key: ((Vec<u8>, bool), (i32, String))) {
            prop_assert_eq!(MapKey::decode(&bytes_of(&key)), Some(key));
        }

        #[test]
        fn foreign_bytes_are_no_key_and_no_panic(bytes: Vec<u8>) {
            let _ = <((Vec<u8>, bool), (i32, String))>::decode(&bytes);
        }
    }

    #[test]
    fn the_bytes_of_keys_are_a_law() {
        assert_eq!(bytes_of(&258_u32), [0, 0, 1, 2]);
        assert_eq!(bytes_of(&-1_i16), [0x7f, 0xff]);
        assert_eq!(bytes_of(&("a\0".to_owned(), 7_u8)), [b'a', 0, 255, 0, 0, 7]);
        assert_eq!(bytes_of(&"EWR".to_owned()), *b"EWR");
    }
}
