//! Posted events on their way into a source.

use gristmill_ports::ingress::IngressAnswer;
use gristmill_types::{JobId, NodeId};

use super::jobs::{http_sources, wrong_state};
use super::{Control, ControlError, Thing};

impl Control {
    /// Puts events into an `http` source, all or none. Asks the catalog only when something is wrong.
    ///
    /// # Errors
    /// No room, more than there can ever be room for, no such job or source, a job that is over.
    pub async fn offer(&self, job: &JobId, source: &str, events: Vec<Vec<u8>>) -> Result<(), ControlError> {
        let Ok(source_id) = source.parse::<NodeId>() else {
            return Err(self.no_such_source(job, source).await);
        };
        match self.parts.ingress.offer(job, &source_id, events) {
            IngressAnswer::Taken => Ok(()),
            IngressAnswer::Full { retry_after_ms } => {
                Err(ControlError::Full { job: job.clone(), source_id, retry_after_ms })
            }
            IngressAnswer::TooLarge { buffer_bytes } => Err(ControlError::EventsTooLarge { source_id, buffer_bytes }),
            IngressAnswer::NoSuchSource => Err(self.no_such_source(job, source).await),
        }
    }

    async fn no_such_source(&self, id: &JobId, source: &str) -> ControlError {
        let job = match self.job(id).await {
            Ok(job) => job,
            Err(error) => return error,
        };
        let known = http_sources(&job.record);
        match job.status().state {
            state if state.is_final() => wrong_state(id, state, "given events"),
            // Its reader opens and closes with the job; a source that is declared is on its way in or out.
            state if known.iter().any(|known| known == source) => wrong_state(id, state, "given events right now"),
            _ => ControlError::missing_in(id, Thing::HttpSource, source, known.iter().map(String::as_str)),
        }
    }
}
