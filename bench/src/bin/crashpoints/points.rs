//! The fail points of the production sources, found by their text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Name → the file and line where it stands.
pub(crate) type Points = BTreeMap<String, String>;

/// All fail points of the host below `root`, those of tests left out.
///
/// # Errors
/// If the sources cannot be read, or a name stands in two places: a crash at it would say nothing about one of them.
pub(crate) fn in_sources(root: &Path) -> anyhow::Result<Points> {
    let mut points = Points::new();
    let mut folders = vec![root.join("host")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() && !is_of_tests(&path) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_of_tests(&path) {
                collect(root, &path, &mut points)?;
            }
        }
    }
    ensure!(!points.is_empty(), "there is no fail point below {}", root.display());
    Ok(points)
}

fn is_of_tests(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == "tests" || name == "target")
}

fn collect(root: &Path, path: &PathBuf, points: &mut Points) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let shown = path.strip_prefix(root).unwrap_or(path).display();
    for (number, line) in (1..).zip(text.lines()) {
        let found = line.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split('"').next());
        for name in found {
            let place = format!("{shown}:{number}");
            if let Some(other) = points.insert(name.to_owned(), place.clone()) {
                anyhow::bail!(
                    "the fail point `{name}` stands at {other} and at {place}; give one of them another name"
                );
            }
        }
    }
    Ok(())
}
