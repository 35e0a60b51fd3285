//! From what stands in the configuration to a store.

use std::path::PathBuf;
use std::sync::Arc;

use gristmill_ports::{CheckpointStore, PortError};
use tokio::runtime::Handle;
use url::Url;

use crate::local_dir::LocalDir;
use crate::object_storage::ObjectStorage;

/// Opens the store at `s3://bucket/prefix`, `file:///a/folder` or a plain path. Requests to object storage run on the
/// runtime; see [`ObjectStorage::new`].
///
/// # Errors
/// `Fatal` if it makes no sense or the folder cannot be had; `Retry` if the disk is full or fails.
pub fn open(place: &str, runtime: &Handle) -> Result<Arc<dyn CheckpointStore>, PortError> {
    match read(place)? {
        Place::Folder(path) => Ok(Arc::new(LocalDir::open(&path)?)),
        Place::Bucket(url) => Ok(Arc::new(ObjectStorage::new(&url, variables(), runtime.clone())?)),
    }
}

/// The folder that this place names, if it is not there: to open the place would make it.
///
/// # Errors
/// `Fatal` if the place makes no sense.
pub fn missing_folder(place: &str) -> Result<Option<PathBuf>, PortError> {
    Ok(match read(place)? {
        Place::Folder(path) if matches!(path.try_exists(), Ok(false)) => Some(path),
        Place::Folder(_) | Place::Bucket(_) => None,
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Bucket(Url),
}

fn read(place: &str) -> Result<Place, PortError> {
    let refused = |why: &str| {
        PortError::fatal(format!(
            "`{place}` {why}; checkpoints are kept in s3://bucket/prefix, file:///a/folder or a plain path"
        ))
    };
    if place.is_empty() {
        return Err(refused("is empty"));
    }
    let Some((scheme, _)) = place.split_once("://") else {
        return match place.split_once(":/") {
            Some((scheme @ ("s3" | "file"), rest)) => {
                let slashes = if scheme == "file" { "///" } else { "//" };
                Err(refused(&format!("lacks a slash: write {scheme}:{slashes}{rest}, or ./{place} for a folder")))
            }
            Some(_) | None => Ok(Place::Folder(place.into())),
        };
    };
    let url: Url = place.parse().map_err(|error| refused(&format!("is no URL: {error}")))?;
    match scheme {
        "s3" => Ok(Place::Bucket(url)),
        "file" => url.to_file_path().map(Place::Folder).map_err(|()| refused("names no folder of this machine")),
        other => Err(refused(&format!("begins with `{other}://`"))),
    }
}

fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_or_a_folder() {
        assert_eq!(read("s3://b/p").unwrap(), Place::Bucket("s3://b/p".parse().unwrap()));
        for (place, folder) in
            [("file:///srv/a%20b", "/srv/a b"), ("data/checkpoints", "data/checkpoints"), ("/srv/c:d", "/srv/c:d")]
        {
            assert_eq!(read(place).unwrap(), Place::Folder(folder.into()));
        }
    }

    #[test]
    fn any_other_place_is_refused_in_words() {
        for (place, words) in [
            ("", "is empty"),
            ("s3:/bucket/a", "write s3://bucket/a"),
            ("file:/srv/a", "write file:///srv/a"),
            ("gs://bucket", "begins with `gs://`"),
            ("file://elsewhere/folder", "names no folder of this machine"),
            ("http://[x", "is no URL"),
        ] {
            let error = read(place).unwrap_err();
            assert!(error.message.contains(words) && error.message.contains("s3://bucket/prefix"), "{error}");
        }
    }
}
