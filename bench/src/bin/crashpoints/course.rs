//! What all scenarios have in common.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

/// Whether hosts are killed and letters put back in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    Smooth,
    Rough,
}

/// The restart of a job that was not the host's end comes at once.
pub(crate) fn restart() -> Value {
    json!({"fixed": {"delay": "50ms", "attempts": 20}})
}

/// The bytes of a guest, built by `make guests`.
pub(crate) fn guest(path: &str) -> anyhow::Result<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository's root");
    let path = root.join(path);
    std::fs::read(&path).with_context(|| format!("reading {}; `make guests` builds it", path.display()))
}
