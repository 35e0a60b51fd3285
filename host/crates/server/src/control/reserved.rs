//! Names of savepoints that are being taken: nothing stands under them yet, and nobody else may have them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_types::JobId;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct ReservedNames(Arc<Mutex<BTreeSet<(JobId, String)>>>);

/// A name that one operation has until it is over.
#[derive(Debug)]
pub(super) struct ReservedName {
    name: String,
    job: JobId,
    of: ReservedNames,
}

impl ReservedNames {
    /// Takes a name for a job: this one, or the next number behind all that are known and taken. `Err`: the name, which
    /// somebody has.
    pub(super) fn take(&self, job: &JobId, name: Option<String>, known: &[String]) -> Result<ReservedName, String> {
        let mut all = self.all();
        let taken = all.iter().filter(|(of, _)| of == job).map(|(_, name)| name);
        let mut there: BTreeSet<&String> = known.iter().chain(taken).collect();
        let number = |name: &&String| name.strip_prefix("sp-")?.parse::<u64>().ok();
        let newest = there.iter().filter_map(number).max().unwrap_or(0);
        let name = name.unwrap_or_else(|| format!("sp-{}", newest.saturating_add(1)));
        if !there.insert(&name) {
            return Err(name);
        }
        all.insert((job.clone(), name.clone()));
        Ok(ReservedName { name, job: job.clone(), of: self.clone() })
    }

    fn all(&self) -> MutexGuard<'_, BTreeSet<(JobId, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReservedName {
    pub(super) fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for ReservedName {
    fn drop(&mut self) {
        self.of.all().remove(&(self.job.clone(), std::mem::take(&mut self.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once_until_its_operation_is_over() {
        let names = ReservedNames::default();
        let (job, other): (JobId, JobId) = ("orders".parse().unwrap(), "flights".parse().unwrap());
        let known = ["sp-4".to_owned(), "noon".to_owned()];
        let take = |job: &JobId, name: Option<&str>| names.take(job, name.map(str::to_owned), &known);
        let (next, behind) = (take(&job, None).unwrap(), take(&job, None).unwrap());
        assert_eq!((next.as_str(), behind.as_str()), ("sp-5", "sp-6"));
        assert_eq!(take(&job, Some("noon")).unwrap_err(), "noon", "there is one");
        assert_eq!(take(&job, Some("sp-5")).unwrap_err(), "sp-5", "one is being taken");
        assert!(take(&other, Some("sp-5")).is_ok(), "of another job");
        drop(next);
        assert!(take(&job, Some("sp-5")).is_ok());
    }
}
