//! Stores on the S3 server of these tests.

use std::sync::LazyLock;

use gristmill_checkpoint_store::ObjectStorage;
use tokio::runtime::Runtime;

use crate::s3_server::S3Server;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

impl S3Server {
    pub(crate) fn store(&self) -> ObjectStorage {
        store_at(self.port, "s3://checkpoints/team/prod", "secret")
    }
}

/// The store behind a port of this machine.
pub(crate) fn store_at(port: u16, url: &str, secret: &str) -> ObjectStorage {
    let variables = [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        ("AWS_ACCESS_KEY_ID", "me".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
    ];
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
    ObjectStorage::new(&url.parse().unwrap(), variables, RUNTIME.handle().clone()).unwrap()
}
