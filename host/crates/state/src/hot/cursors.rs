//! Where walks over large maps go on.
//!
//! A map may be larger than memory, so nothing looks at all of one at a time. Whoever walks over maps does it in slices
//! and keeps here where the next one begins; maps of a single slice take no place.

use std::collections::HashMap;

use gristmill_types::StateIndex;

use crate::call::KeyId;
use crate::inline::InlineBytes;

/// The state of a key.
pub(super) type StateOf = (StateIndex, KeyId);

/// By map, the name at which the next slice begins.
///
/// If a key is forgotten and its id used again, the walk over the new map begins somewhere, and still comes round.
#[derive(Debug, Default)]
pub(super) struct Cursors(HashMap<StateOf, InlineBytes>);

impl Cursors {
    /// Where to go on: at the beginning, unless it was said otherwise.
    pub(super) fn take(&mut self, map: StateOf) -> InlineBytes {
        if self.0.is_empty() { InlineBytes::new() } else { self.0.remove(&map).unwrap_or_default() }
    }

    /// Says where to go on; nowhere if the walk came to the end.
    pub(super) fn keep(&mut self, map: StateOf, next: Option<InlineBytes>) {
        if let Some(next) = next {
            self.0.insert(map, next);
        }
    }
}
