//! The thread that writes the log of one source.
//!
//! Whatever offers came while the last sync ran go to the disk together, in one write and one sync: the more come, the
//! fewer syncs each costs.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use gristmill_ports::PortError;

use super::intake::{Intake, Work};
use super::log::{Log, LoggedOffer};
use super::passage::{Waiting, not_logged, now_ms};

/// Writes until the reader goes.
///
/// # Errors
/// `Retry` if the system has no thread to give.
pub(super) fn spawn(source: &str, log: Log, intake: Arc<Intake>) -> Result<JoinHandle<()>, PortError> {
    let mut writer = Writer { log, intake };
    let spawned = Builder::new().name(format!("log-{source}")).spawn(move || writer.run());
    spawned.map_err(|error| PortError::retry(format!("source `{source}`: no thread for its log: {error}")))
}

struct Writer {
    log: Log,
    intake: Arc<Intake>,
}

impl Writer {
    fn run(&mut self) {
        loop {
            match self.intake.next_work() {
                Work::Append(offers) => self.append(offers),
                Work::Forget(oldest) => {
                    // What cannot be removed now is removed at a later checkpoint.
                    self.log.forget_before(oldest, || self.intake.keys()).ok();
                    self.intake.set_logged(self.log.bytes());
                }
                Work::Leave(offers) => {
                    let why = not_logged("the job has stopped reading");
                    offers.into_iter().for_each(|offer| (offer.on_durable)(Err(why.clone())));
                    return;
                }
            }
        }
    }

    fn append(&mut self, mut offers: Vec<Waiting>) {
        let new: Vec<LoggedOffer> = offers.iter_mut().filter_map(Waiting::take_events).collect();
        let (group, why) = if new.is_empty() {
            (None, None)
        } else {
            match self.log.append(new, now_ms(), || self.intake.keys()) {
                Ok(group) => (Some(group), None),
                Err(error) => (None, Some(format!("`{}` cannot be written: {error}", self.log.folder().display()))),
            }
        };
        let why = why.unwrap_or_else(|| "those that came first under their key were refused".to_owned());
        for (on_durable, is_logged) in self.intake.done(offers, group, self.log.bytes()) {
            on_durable(if is_logged { Ok(()) } else { Err(not_logged(&why)) });
        }
    }
}
