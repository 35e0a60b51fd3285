//! A bucket of any storage that speaks the S3 protocol and knows conditional writes.
//!
//! Put-if-absent is `If-None-Match: *`. Storage that has never heard of it replaces what stands there, and two hosts
//! would each believe that they own the run; so it is asked once, before the first such put, whether it obeys. Uploads
//! carry the SHA-256 of their bytes and the server refuses others: what is stored is what was sent.

mod settings;
mod trouble;
mod transfer;

use std::path::{Path as LocalPath, PathBuf};
use std::sync::{Mutex, PoisonError};

use gristmill_ports::checkpoint_store::{Content, PutNew, StoredFile};
use gristmill_ports::{CheckpointStore, PortError};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, Result as StoreResult};
use tokio::runtime::Handle;
use tokio_stream::StreamExt;
use url::Url;

use self::settings::Settings;
use self::transfer::{Broken, receive, send};
use self::trouble::{Attempted, is_bucket_missing};
use crate::stored_path::checked;
use crate::trouble::cannot;

/// What is put to learn whether the storage obeys. Always the same, so that hosts do not disturb one another.
const PROBE: &str = ".put-if-absent";
const PROBE_CONTENT: &[u8] = b"gristmill asks here whether this storage leaves standing what stands\n";

/// A store in a bucket.
#[derive(Debug)]
pub struct ObjectStorage {
    settings: Settings,
    name: String,
    store: AmazonS3,
    /// Sends each request once.
    once: AmazonS3,
    runtime: Handle,
    /// Whether the storage is known to put only where nothing stands when told so.
    obeys: Mutex<bool>,
}

impl ObjectStorage {
    /// The storage at `s3://bucket/prefix`, with endpoint, region and credentials from the usual `AWS_*` variables.
    /// Nothing is asked of it yet. Requests run on the runtime, which is to have threads of its own; calls are made
    /// from threads that are not its.
    ///
    /// # Errors
    /// `Fatal` if the URL or a variable makes no sense.
    pub fn new(
        url: &Url,
        variables: impl IntoIterator<Item = (String, String)>,
        runtime: Handle,
    ) -> Result<Self, PortError> {
        let settings = Settings::read(url, variables)?;
        let (store, once) = settings.clients()?;
        let slash = if settings.prefix.is_root() { "" } else { "/" };
        let name = format!("s3://{}{slash}{}", settings.bucket, settings.prefix);
        Ok(Self { settings, name, store, once, runtime, obeys: Mutex::new(false) })
    }

    fn place_of(&self, path: &str) -> Result<Path, PortError> {
        let whole = match self.settings.prefix.as_ref() {
            "" => checked(path)?.to_owned(),
            prefix => format!("{prefix}/{}", checked(path)?),
        };
        Path::parse(&whole).map_err(|error| PortError::fatal(format!("`{path}` is no path in {}: {error}", self.name)))
    }

    fn failed<'a>(&'a self, action: &'static str, path: &'a str) -> impl Fn(Error) -> PortError + 'a {
        move |error| Attempted { action, path, storage: &self.name, bucket: &self.settings.bucket }.failed(&error)
    }

    fn broken<'a>(
        &'a self,
        action: &'static str,
        path: &'a str,
        local: &'a LocalPath,
    ) -> impl Fn(Broken) -> PortError + 'a {
        move |broken| match broken {
            Broken::Here(error) => cannot(action, local)(error),
            Broken::There(error) => self.failed(action, path)(error),
        }
    }

    fn create(&self, place: &Path, bytes: &[u8]) -> StoreResult<PutNew> {
        let payload = PutPayload::from(bytes.to_vec());
        match self.runtime.block_on(self.once.put_opts(place, payload, PutMode::Create.into())) {
            Ok(_) => Ok(PutNew::Created),
            Err(error) if says_that_something_stands_there(&error) => Ok(PutNew::Exists),
            Err(error) => Err(error),
        }
    }

    /// Learns once whether the storage leaves standing what stands when it is told so.
    fn check_that_it_obeys(&self) -> Result<(), PortError> {
        let mut obeys = self.obeys.lock().unwrap_or_else(PoisonError::into_inner);
        if *obeys {
            return Ok(());
        }
        let place = self.settings.prefix.clone().join(PROBE);
        let payload = PutPayload::from_static(PROBE_CONTENT);
        self.runtime.block_on(self.store.put(&place, payload)).map_err(self.failed("store", PROBE))?;
        match self.create(&place, PROBE_CONTENT).map_err(self.failed("store", PROBE))? {
            PutNew::Exists => {
                *obeys = true;
                Ok(())
            }
            PutNew::Created => Err(PortError::fatal(format!(
                "{} does not know conditional writes (If-None-Match): it replaces what stands there, so that two hosts \
                 could go on with one job at the same time; use storage that knows them, as S3, R2 and current MinIO do",
                self.name
            ))),
        }
    }

    async fn found(&self, prefix: &Path) -> StoreResult<Vec<(Path, u64)>> {
        let mut listed = self.store.list(Some(prefix));
        let mut found = Vec::new();
        while let Some(object) = listed.next().await {
            let object = object?;
            found.push((object.location, object.size));
        }
        Ok(found)
    }
}

/// 412, in short. 409 is answered to one of two at the same time, also if the other one fails in the end; then nobody
/// knows what stands there.
fn says_that_something_stands_there(error: &Error) -> bool {
    let Error::AlreadyExists { source, .. } = error else { return false };
    matches!(source.downcast_ref(), Some(Error::Precondition { .. } | Error::NotModified { .. }))
}

/// `None` for an object that does not exist, in a bucket that does.
fn if_there<T>(result: StoreResult<T>) -> StoreResult<Option<T>> {
    match result {
        Err(error @ Error::NotFound { .. }) if !is_bucket_missing(&error) => Ok(None),
        result => result.map(Some),
    }
}

impl CheckpointStore for ObjectStorage {
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<PutNew, PortError> {
        let place = self.place_of(path)?;
        self.check_that_it_obeys()?;
        self.create(&place, bytes).map_err(self.failed("store", path))
    }

    fn put(&self, path: &str, content: Content<'_>) -> Result<(), PortError> {
        let place = self.place_of(path)?;
        match content {
            Content::Bytes(bytes) => {
                let put = self.store.put(&place, PutPayload::from(bytes.to_vec()));
                self.runtime.block_on(put).map(drop).map_err(self.failed("store", path))
            }
            Content::File(from) => {
                let sent = self.runtime.block_on(send(&self.store, &place, from));
                sent.map_err(self.broken("store", path, from))?;
                std::fs::remove_file(from).map_err(cannot("remove", from))
            }
        }
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, PortError> {
        let place = self.place_of(path)?;
        let got = self.runtime.block_on(async {
            match if_there(self.store.get(&place).await)? {
                Some(found) => Ok(Some(found.bytes().await?.to_vec())),
                None => Ok(None),
            }
        });
        got.map_err(self.failed("read", path))
    }

    fn fetch(&self, path: &str, to: &LocalPath) -> Result<bool, PortError> {
        let place = self.place_of(path)?;
        let fetched = self.runtime.block_on(async {
            match if_there(self.store.get(&place).await)? {
                Some(found) => receive(found, to).await.map(|()| true),
                None => Ok(false),
            }
        });
        fetched.map_err(self.broken("fetch", path, to))
    }

    fn list(&self, folder: &str) -> Result<Vec<StoredFile>, PortError> {
        let prefix = if folder.is_empty() { self.settings.prefix.clone() } else { self.place_of(folder)? };
        let found = self.runtime.block_on(self.found(&prefix)).map_err(self.failed("list", folder))?;
        let above = self.settings.prefix.as_ref();
        let within = |(location, bytes): (Path, u64)| {
            let path = location.as_ref().strip_prefix(above)?.trim_start_matches('/');
            checked(path).ok().map(|path| StoredFile { path: path.to_owned(), bytes })
        };
        let mut files: Vec<_> = found.into_iter().filter_map(within).collect();
        files.sort_unstable();
        Ok(files)
    }

    fn delete(&self, path: &str) -> Result<(), PortError> {
        let place = self.place_of(path)?;
        let deleted = self.runtime.block_on(self.store.delete(&place));
        if_there(deleted).map(drop).map_err(self.failed("delete", path))
    }

    fn local_path(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}
