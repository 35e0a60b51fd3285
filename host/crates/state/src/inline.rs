//! Byte strings that lie inside the entry that owns them while they are short.

use smallvec::SmallVec;

/// Up to 16 bytes without an allocation: counters, sums, times; 24 bytes in all.
pub(crate) type InlineBytes = SmallVec<[u8; 16]>;

/// Up to 24 bytes without an allocation: most keys; 32 bytes in all.
pub(crate) type InlineKey = SmallVec<[u8; 24]>;

/// Overwrites `place` with `bytes`; in place, if the length stays.
#[inline]
pub(crate) fn overwrite(place: &mut InlineBytes, bytes: &[u8]) {
    if place.len() == bytes.len() {
        place.copy_from_slice(bytes);
    } else {
        *place = InlineBytes::from_slice(bytes);
    }
}
