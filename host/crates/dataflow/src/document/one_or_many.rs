//! `a` or `[a, b]`: one text, or a list of them.

use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// One text or a list, told apart as it was written.
pub(super) enum OneOrMany {
    /// `a`
    One(String),
    /// `[a, b]`
    Many(Vec<String>),
}

/// Reads one text or a list of texts; `what` says what they are, for the message when they are neither.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D, what: &'static str) -> Result<OneOrMany, D::Error> {
    deserializer.deserialize_any(OneOrManyVisitor(what))
}

/// Writes a list of one as the one.
pub(super) fn write<S: Serializer>(texts: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match texts {
        [one] => one.serialize(serializer),
        many => many.serialize(serializer),
    }
}

struct OneOrManyVisitor(&'static str);

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list of these", self.0)
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
        let mut many = Vec::new();
        while let Some(text) = list.next_element()? {
            many.push(text);
        }
        Ok(OneOrMany::Many(many))
    }
}
