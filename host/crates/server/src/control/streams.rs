//! What flows through a job, looked at live.

use std::sync::Arc;

use gristmill_ports::catalog::JobRecord;
use gristmill_runtime::TapEvent;
use gristmill_types::{JobId, PortIndex};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::live::LiveJob;
use super::{Control, ControlError, STREAMS, Thing};

impl Control {
    /// A live sample of what leaves an output port, given by name or place; the first port if none is given.
    ///
    /// # Errors
    /// If there is no such job, operator or port, or the job is over.
    pub async fn tap(
        &self,
        id: &JobId,
        operator: &str,
        port: Option<&str>,
    ) -> Result<(Arc<LiveJob>, mpsc::Receiver<TapEvent>), ControlError> {
        let job = self.job(id).await?;
        let live = job.running("tapped")?;
        let report = live.handle().report();
        let node = report.nodes.iter().find(|node| node.id.as_str() == operator).ok_or_else(|| {
            ControlError::missing_in(id, Thing::Node, operator, report.nodes.iter().map(|node| node.id.as_str()))
        })?;
        if node.ports.is_empty() {
            let feeders = feeders(&job.record, operator);
            return Err(ControlError::NothingLeaves { job: id.clone(), node: node.id.clone(), feeders });
        }
        let place = port.map_or(Some(0), |port| place_of(port, &node.ports)).ok_or_else(|| {
            let known = node.ports.iter().map(|port| format!("{operator}.{port}")).collect::<Vec<_>>();
            let name = format!("{operator}.{}", port.unwrap_or("0"));
            ControlError::missing_in(id, Thing::Port, &name, known.iter().map(String::as_str))
        })?;
        let tap = live.handle().tap(&node.id, PortIndex(place as u32)).map_err(ControlError::Bug)?;
        Ok((Arc::clone(live), tap))
    }

    /// A place for a live stream, free again when dropped.
    ///
    /// # Errors
    /// If all are taken.
    pub fn stream_place(&self) -> Result<OwnedSemaphorePermit, ControlError> {
        Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| ControlError::Busy(format!("serving as many live streams as it can ({STREAMS})")))
    }
}

/// The place of a port that is given by its name or its place.
fn place_of(port: &str, ports: &[String]) -> Option<usize> {
    let by_name = ports.iter().position(|name| name == port);
    by_name.or_else(|| port.parse().ok().filter(|place| *place < ports.len()))
}

/// Whose events enter a sink, for suggestions.
fn feeders(record: &JobRecord, sink: &str) -> Vec<String> {
    let inputs = record.document.pointer(&format!("/sinks/{sink}/inputs")).and_then(|inputs| inputs.as_array());
    inputs.into_iter().flatten().filter_map(|input| input.as_str().map(str::to_owned)).collect()
}
