//! The watermark of a task is the least of its channels'. Pure.
//!
//! A channel that is idle, and one whose event time is complete, hold nothing back. But complete is a task only when
//! all its channels are: an idle one may speak again, and one that was stopped will after the next start.

use gristmill_types::Watermark;

/// Combines the watermarks of channels.
#[derive(Debug)]
pub(crate) struct WatermarkCombiner {
    channels: Vec<Channel>,
    combined: Watermark,
}

#[derive(Debug, Clone, Copy)]
struct Channel {
    watermark: Watermark,
    /// Left out of the minimum until it speaks again.
    idle: bool,
}

impl Channel {
    fn holds_nothing_back(&self) -> bool {
        self.idle || self.watermark == Watermark::END
    }
}

impl WatermarkCombiner {
    /// One that had come so far already, before its channels say anything.
    pub(crate) fn new(channels: usize, combined: Watermark) -> Self {
        let unheard = Channel { watermark: Watermark::START, idle: false };
        Self { channels: vec![unheard; channels], combined }
    }

    /// The combined watermark, if the channel's moves it on. A channel that was idle holds the minimum back again; the
    /// combined watermark itself never goes back. It is said again when it ends the idleness of all: whoever was told
    /// of that left us out of its own minimum.
    pub(crate) fn advance(&mut self, channel: usize, watermark: Watermark) -> Option<Watermark> {
        let were_idle = self.all_idle();
        let entry = &mut self.channels[channel];
        entry.idle = false;
        entry.watermark = entry.watermark.max(watermark);
        self.recombine().or((were_idle && !self.all_idle()).then_some(self.combined))
    }

    /// The same for a channel that has nothing to say for now.
    pub(crate) fn idle(&mut self, channel: usize) -> Option<Watermark> {
        self.channels[channel].idle = true;
        self.recombine()
    }

    /// Whether no channel will say anything for now, though some may later.
    pub(crate) fn all_idle(&self) -> bool {
        !self.is_complete() && self.channels.iter().all(Channel::holds_nothing_back)
    }

    fn is_complete(&self) -> bool {
        self.channels.iter().all(|channel| channel.watermark == Watermark::END)
    }

    fn recombine(&mut self) -> Option<Watermark> {
        let holding = self.channels.iter().filter(|channel| !channel.holds_nothing_back());
        let least = if self.is_complete() { Watermark::END } else { holding.map(|channel| channel.watermark).min()? };
        (least > self.combined).then(|| {
            self.combined = least;
            least
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_slowest_channel_decides_and_an_idle_one_does_not() {
        let mut combiner = WatermarkCombiner::new(2, Watermark::START);
        assert_eq!(combiner.advance(0, Watermark(10)), None, "channel 1 was not heard yet");
        assert_eq!(combiner.advance(1, Watermark(5)), Some(Watermark(5)));
        assert_eq!(combiner.idle(1), Some(Watermark(10)));
        assert_eq!(combiner.advance(1, Watermark(7)), None, "a channel that comes back is late, nothing goes back");
        assert_eq!(combiner.advance(0, Watermark(20)), None);
        assert_eq!(combiner.advance(1, Watermark(30)), Some(Watermark(20)));
    }

    #[test]
    fn a_watermark_that_ends_the_idleness_of_all_is_said_though_nothing_moved_on() {
        let mut combiner = WatermarkCombiner::new(2, Watermark::START);
        combiner.advance(0, Watermark(10));
        combiner.advance(1, Watermark(10));
        combiner.idle(0);
        combiner.idle(1);
        assert!(combiner.all_idle());
        assert_eq!(combiner.advance(0, Watermark(5)), Some(Watermark(10)), "the receiver must count us in again");
        assert_eq!(combiner.advance(0, Watermark(6)), None);
    }

    #[test]
    fn event_time_is_complete_only_if_it_is_in_every_channel() {
        let mut combiner = WatermarkCombiner::new(2, Watermark::START);
        assert_eq!(combiner.idle(1), None);
        assert_eq!(combiner.advance(0, Watermark::END), None, "channel 1 may speak again");
        assert!(combiner.all_idle());
        assert_eq!(combiner.advance(1, Watermark(5)), Some(Watermark(5)));
        assert_eq!(combiner.advance(1, Watermark::END), Some(Watermark::END));
        assert!(!combiner.all_idle());
    }

    proptest! {
        #[test]
        fn the_combined_watermark_never_goes_back(steps in prop::collection::vec((0usize..3, 0i64..50, any::<bool>()), 0..60)) {
            let mut combiner = WatermarkCombiner::new(3, Watermark::START);
            let mut last = Watermark::START;
            for (channel, time, idle) in steps {
                let moved = if idle { combiner.idle(channel) } else { combiner.advance(channel, Watermark(time)) };
                if let Some(watermark) = moved {
                    prop_assert!(watermark >= last);
                    last = watermark;
                }
            }
        }
    }
}
