//! What was posted and not read, on its way through a savepoint.
//!
//! A tail is a segment of a log: it begins with all keys that were used, and holds the events from the one at which the
//! source stands. So it is laid into the log of another run as it is, and events keep their numbers.

use std::path::Path;

use gristmill_checkpoint::SplitPosition;
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::parts::StoredTail;
use gristmill_ports::{FileStore, PortError};
use gristmill_types::{JobId, NodeId, RunId};

use super::OpenSources;
use super::log::{adopt, write_tail};
use super::reader::{of_source, resumed_at};

impl OpenSources {
    /// Stores what the log of a source has behind these positions; `None` if it stands nowhere yet. Blocks.
    ///
    /// # Errors
    /// `Retry` if the disk or the store refuses, or the source is not open just now; `Fatal` if the log is damaged.
    pub(crate) fn tail(
        &self,
        (job, run, source): (&JobId, RunId, &NodeId),
        stands: &[SplitPosition],
        to: &dyn FileStore,
    ) -> Result<Option<StoredTail>, PortError> {
        let Some(first) = resumed_at(source, Some(stands))? else { return Ok(None) };
        let open = self.lock().get(&(job.clone(), source.clone())).cloned().flatten();
        let Some((end, keys)) = open.and_then(|intake| intake.settle()) else {
            return Err(PortError::retry(format!("source `{source}` is not open at this moment")));
        };
        let of_source = |error| of_source(source, &error);
        let log = self.folder_of_log(job, run, source);
        let written = write_tail(&log, first..end, &keys, &to.scratch().join(format!("tail-{source}")));
        let file = to.put(Content::File(&written.map_err(of_source)?)).map_err(of_source)?;
        Ok(Some(StoredTail { file, events: end.saturating_sub(first) }))
    }

    /// Lays a tail into the log of a source that was never opened; of one that was, nothing is changed. Blocks.
    ///
    /// # Errors
    /// `Retry` if the disk refuses; `Fatal` if the file is no tail.
    pub(crate) fn adopt_tail(&self, job: &JobId, run: RunId, source: &NodeId, tail: &Path) -> Result<(), PortError> {
        adopt(&self.folder_of_log(job, run, source), &self.data_dir, tail).map_err(|error| of_source(source, &error))
    }
}
