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
        let job = |id: &str| id.parse::<JobId>().expect("an id");
        let known = ["sp-4".to_owned(), "noon".to_owned()];
        let take = |of: &str, name: Option<&str>| names.take(&job(of), name.map(str::to_owned), &known);
        let taken = |of: &str, name: Option<&str>| take(of, name).map(|name| name.as_str().to_owned());
        let (next, behind) = (take("orders", None), take("orders", None));
        assert_eq!([&next, &behind].map(|name| name.as_ref().map(ReservedName::as_str)), [Ok("sp-5"), Ok("sp-6")]);
        assert_eq!(taken("orders", Some("noon")), Err("noon".to_owned()), "there is one");
        assert_eq!(taken("orders", Some("sp-5")), Err("sp-5".to_owned()), "one is being taken");
        assert_eq!(taken("flights", Some("sp-5")), Ok("sp-5".to_owned()), "of another job");
        drop(next);
        assert_eq!(taken("orders", Some("sp-5")), Ok("sp-5".to_owned()));
    }
}
