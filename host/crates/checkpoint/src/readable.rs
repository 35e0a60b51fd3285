//! Bytes that a connector wrote, for people who look at a checkpoint as JSON. Records hold them as they are.
//!
//! One way only: what a checkpoint is restored from are its records, never their JSON.

use serde::{Serialize, Serializer};

/// Text where it is text, else `0x` and hexadecimal digits.
pub(crate) fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return bytes.serialize(serializer);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => serializer.serialize_str(text),
        Ok(_) | Err(_) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            serializer.serialize_str(&format!("0x{digits}"))
        }
    }
}
