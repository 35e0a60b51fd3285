//! The REST API of whatever host lives at the moment, for those that go on asking while hosts are killed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder};
use serde_json::Value;

/// How often is looked whether a host listens.
const LOOK: Duration = Duration::from_millis(3);

/// A host that listens, or listened.
pub(crate) struct Api {
    client: Client,
    address: String,
}

/// The host does not answer any more.
pub(crate) struct Gone;

impl Api {
    /// Waits until the host in `folder` says where it listens; `None` if its life is over before.
    pub(crate) fn of(folder: &Path, is_over: &AtomicBool) -> Option<Self> {
        while !is_over.load(Ordering::SeqCst) {
            let said = std::fs::read_to_string(folder.join("address")).unwrap_or_default();
            let client = Client::builder().timeout(Duration::from_secs(30)).build();
            if let (false, Ok(client)) = (said.is_empty(), client) {
                return Some(Self { client, address: said.trim().to_owned() });
            }
            std::thread::sleep(LOOK);
        }
        None
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Gone> {
        answer(self.client.get(format!("{}{path}", self.address))).map(|(_, seen)| seen)
    }

    /// Gives the status and the body.
    pub(crate) fn post(
        &self,
        path: &str,
        more: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<(u16, Value), Gone> {
        answer(more(self.client.post(format!("{}{path}", self.address))))
    }
}

fn answer(request: RequestBuilder) -> Result<(u16, Value), Gone> {
    let answer = request.send().map_err(|_| Gone)?;
    let status = answer.status().as_u16();
    let body = answer.bytes().map_err(|_| Gone)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}
