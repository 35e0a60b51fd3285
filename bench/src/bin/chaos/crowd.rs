//! Those who are at a host while it is killed: one posts events, one swaps modules.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;

use crate::feeder::Feeder;
use crate::swapper::Swapper;

#[derive(Default)]
pub(crate) struct Crowd {
    pub(crate) feeder: Feeder,
    pub(crate) swapper: Swapper,
}

impl Crowd {
    /// Lets both at the host in `folder` while something is done, the end of which is that of the host.
    ///
    /// # Errors
    /// What was done, or what one of them saw go wrong.
    pub(crate) fn around<T>(&mut self, folder: &Path, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let is_over = AtomicBool::new(false);
        let Self { feeder, swapper } = self;
        std::thread::scope(|scope| {
            let feeding = scope.spawn(|| feeder.feed(folder, &is_over));
            let swapping = scope.spawn(|| swapper.swap(folder, &is_over));
            let done = act();
            is_over.store(true, Ordering::SeqCst);
            let (Ok(fed), Ok(swapped)) = (feeding.join(), swapping.join()) else { bail!("a thread panicked") };
            swapped.and(fed).and(done)
        })
    }
}
