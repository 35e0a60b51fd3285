//! What a run left in checkpoint storage goes.

use gristmill_checkpoint::RunFolder;
use gristmill_ports::{CheckpointStore, PortError};
use gristmill_types::{JobId, RunId};

/// Deletes all checkpoints of a run that is over; its chain last, so that a crash in between leaves what can be found
/// again. Blocks.
///
/// # Errors
/// If the store cannot be reached; what is left stays.
pub fn forget_run(store: &dyn CheckpointStore, job: &JobId, run: RunId) -> Result<(), PortError> {
    let folder = RunFolder::new(job, run);
    for part in [folder.files(), folder.chain()] {
        store.list(&part)?.iter().try_for_each(|stored| store.delete(&stored.path))?;
    }
    Ok(())
}
