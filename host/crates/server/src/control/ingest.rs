//! Posted events on their way into a source.

use gristmill_ports::PortError;
use gristmill_ports::ingress::{IngressAnswer, Offer};
use gristmill_types::{JobId, NodeId};
use tokio::sync::oneshot;

use super::error::wrong_state;
use super::jobs::http_sources;
use super::{Control, ControlError, Thing};

impl Control {
    /// Puts events into an `http` source, all or none; they are durable when this returns. The same events under the same
    /// key are taken once. Asks the catalog only when something is wrong.
    ///
    /// # Errors
    /// No room, more than there can ever be room for, a key that was used for other events, no such job or source, a job
    /// that is over, a disk that refuses.
    pub async fn offer(
        &self,
        job: &JobId,
        source: &str,
        events: Vec<Vec<u8>>,
        idempotency_key: Option<String>,
    ) -> Result<(), ControlError> {
        let Ok(source_id) = source.parse::<NodeId>() else {
            return Err(self.no_such_source(job, source).await);
        };
        let (tell, told) = oneshot::channel();
        // Whoever asked may have gone; the events are taken all the same.
        let on_durable = Box::new(move |how| drop(tell.send(how)));
        match self.parts.ingress.offer(job, &source_id, Offer { events, idempotency_key, on_durable }) {
            IngressAnswer::Taken => {
                let how = told.await.unwrap_or_else(|_| Err(PortError::retry("the source has ended meanwhile")));
                how.map_err(|why| ControlError::NotDurable { source_id, why })
            }
            IngressAnswer::Full { retry_after_ms } => {
                Err(ControlError::Full { job: job.clone(), source_id, retry_after_ms })
            }
            IngressAnswer::LogFull { retry_after_ms } => {
                Err(ControlError::LogFull { job: job.clone(), source_id, retry_after_ms })
            }
            IngressAnswer::TooLarge { buffer_bytes } => Err(ControlError::EventsTooLarge { source_id, buffer_bytes }),
            IngressAnswer::KeyReused => Err(ControlError::KeyReused { source_id }),
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
