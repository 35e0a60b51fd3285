//! The dice: what is drawn for an event depends on the seed and on the event's number alone.

use super::digits;

/// The dice of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice {
    seed: u64,
    keys: u64,
}

/// What was drawn for one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draw {
    /// Which key.
    pub(super) key: u32,
    /// `A` to `D`.
    pub(super) kind: u8,
    /// 100.00 to 999.99, in hundredths.
    hundredths: u32,
}

impl Dice {
    /// Dice that draw one of `keys` keys; of no keys always the first.
    pub(super) fn new(seed: u64, keys: u32) -> Self {
        Self { seed: mix(seed), keys: u64::from(keys) }
    }

    #[inline]
    pub(super) fn draw(self, seq: u64) -> Draw {
        let drawn = mix(self.seed.wrapping_add(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let amount = (drawn >> 2) & 0x00ff_ffff;
        Draw {
            // The upper half, scaled down: even to one in four billion.
            key: (((drawn >> 32) * self.keys) >> 32) as u32,
            kind: b'A' + (drawn & 3) as u8,
            hundredths: 10_000 + ((amount * 90_000) >> 24) as u32,
        }
    }
}

impl Draw {
    /// Such as `123.45`.
    #[inline]
    pub(super) fn amount(self) -> [u8; 6] {
        let [units, cents] = [digits::four(self.hundredths / 100), digits::four(self.hundredths)];
        [units[1], units[2], units[3], b'.', cents[2], cents[3]]
    }
}

/// The finalizer of SplitMix64.
#[inline]
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
