//! Where built guests are.

use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// An example guest: `filter`, `word-count`, `c-filter` …
pub(crate) fn example(name: &str) -> PathBuf {
    built(root().join(format!("guest-examples/target/modules/{name}.wasm")))
}

/// A guest of the tests: `echo`, `spin`, `poison` …
pub(crate) fn odd(name: &str) -> PathBuf {
    built(root().join(format!("tests/guests/target/modules/{name}.wasm")))
}

fn built(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is not built; `make guests guests-c` builds it", path.display());
    path
}
