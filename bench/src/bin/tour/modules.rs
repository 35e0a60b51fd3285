//! The versions of the word count, as `make guests` builds them.

use std::path::Path;

use anyhow::ensure;

use crate::guide::Guide;

/// Uploads a guest of `guest-examples` under a name.
pub(crate) fn push(guide: &Guide, guest: &str, name: &str) -> anyhow::Result<()> {
    let file = fetch(guide, guest)?;
    guide.run(&["module", "push", &file, "--name", name], &[name])?;
    Ok(())
}

/// Lays a guest into the directory of the tour; gives its name there.
pub(crate) fn fetch(guide: &Guide, guest: &str) -> anyhow::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (file, name) = (root.join(format!("guest-examples/target/modules/{guest}.wasm")), format!("{guest}.wasm"));
    ensure!(file.exists(), "{name} is not there; `make guests` builds it");
    std::fs::copy(file, guide.host.path(&name))?;
    Ok(name)
}
