//! The host's parts, with dead letters counted as a mistake of the benchmark.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gristmill::clock::SystemClock;
use gristmill::wiring::HostParts;
use gristmill_checkpoint::{SavepointFolder, SplitPosition};
use gristmill_dataflow::document::{CheckpointSpec, KeyBy, SinkSpec, SourceSpec};
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch, KeptLetter};
use gristmill_ports::format::KeySelector;
use gristmill_ports::parts::{PartContext, Urgency};
use gristmill_ports::state::{StateMerger, StateReader};
use gristmill_ports::{
    CheckpointStore, Clock, Committer, FileStore, Parts, PortError, Sink, SourceReader, StateBackend,
};
use gristmill_types::{AttemptId, CheckpointId, DeadLetter, Descriptor, JobId, RunId};

/// The parts that `gristmill run` would use, with checkpoints in this directory.
pub(crate) fn host_parts(data_dir: &Path) -> anyhow::Result<HostParts> {
    HostParts::new(PathBuf::from("."), data_dir, None, Arc::new(NoLetters), Arc::new(SystemClock::default()))
}

type MakeSource = Box<dyn Fn() -> Box<dyn SourceReader> + Send + Sync>;
type WrapSink = Box<dyn Fn(Box<dyn Sink>) -> Box<dyn Sink> + Send + Sync>;

/// The host's parts with other sources, and sinks in a wrapping.
pub(crate) struct Altered {
    pub(crate) host: HostParts,
    pub(crate) source: Option<MakeSource>,
    pub(crate) sink: WrapSink,
}

impl Parts for Altered {
    fn source(
        &self,
        context: &PartContext,
        spec: &SourceSpec,
        resume: Option<&[SplitPosition]>,
    ) -> Result<Box<dyn SourceReader>, PortError> {
        match &self.source {
            Some(source) => Ok(source()),
            None => self.host.source(context, spec, resume),
        }
    }
    fn sink(&self, context: &PartContext, spec: &SinkSpec, resume: Option<&[u8]>) -> Result<Box<dyn Sink>, PortError> {
        Ok((self.sink)(self.host.sink(context, spec, resume)?))
    }
    fn committer(
        &self,
        context: &PartContext,
        spec: &SinkSpec,
        files: &Arc<dyn FileStore>,
    ) -> Result<Option<Box<dyn Committer>>, PortError> {
        self.host.committer(context, spec, files)
    }
    fn key_selector(&self, key_by: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
        self.host.key_selector(key_by)
    }
    fn state(
        &self,
        context: &PartContext,
        descriptor: &Descriptor,
        spec: &CheckpointSpec,
    ) -> Result<Box<dyn StateBackend>, PortError> {
        self.host.state(context, descriptor, spec)
    }
    fn state_reader(&self) -> Arc<dyn StateReader> {
        self.host.state_reader()
    }

    fn state_merger(&self) -> Arc<dyn StateMerger> {
        self.host.state_merger()
    }
    fn host(&self) -> String {
        self.host.host()
    }
    fn checkpoint_store(&self) -> Arc<dyn CheckpointStore> {
        self.host.checkpoint_store()
    }
    fn files(&self, job: &JobId, run: RunId, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError> {
        self.host.files(job, run, attempt)
    }
    fn savepoint_files(&self, folder: &SavepointFolder, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError> {
        self.host.savepoint_files(folder, attempt)
    }
    fn dead_letters(&self) -> Arc<dyn DeadLetterStore> {
        self.host.dead_letters()
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.host.clock()
    }
    fn stand_back(&self, urgency: Urgency) {
        self.host.stand_back(urgency);
    }
    fn worked(&self) -> Option<Duration> {
        self.host.worked()
    }
}

/// A benchmark has no bad events.
struct NoLetters;

impl DeadLetterStore for NoLetters {
    fn append(&self, _: &JobId, _: Epoch, letters: &[DeadLetter]) -> Result<(), PortError> {
        Err(PortError::fatal(format!("a benchmark set an event aside: {}", letters[0].reason.message)))
    }
    fn decided(&self, _: &JobId, _: RunId, _: CheckpointId) -> Result<(), PortError> {
        Ok(())
    }
    fn abort_behind(&self, _: &JobId, _: RunId, _: Option<CheckpointId>) -> Result<(), PortError> {
        Ok(())
    }
    fn page(&self, _: &JobId, _: u64, _: usize) -> Result<Vec<KeptLetter>, PortError> {
        Ok(Vec::new())
    }
    fn count(&self, _: &JobId) -> Result<u64, PortError> {
        Ok(0)
    }
    fn mark_replayed(&self, _: &JobId, _: Epoch, _: &[u64]) -> Result<(), PortError> {
        Ok(())
    }
    fn is_replayed(&self, _: &JobId, _: u64) -> Result<bool, PortError> {
        Ok(false)
    }
    fn delete(&self, _: &JobId) -> Result<(), PortError> {
        Ok(())
    }
}
