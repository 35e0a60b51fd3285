//! The floors of `docs/ARCHITECTURE.md` are kept: who imports whom is what the table there says, and within a crate only
//! what stands above is imported.

mod reading_order;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ lies in the workspace").to_owned()
}

/// A row of the table in the document.
struct Declared {
    floor: u32,
    /// The own crates that it may import.
    imports: BTreeSet<String>,
}

fn declared() -> BTreeMap<String, Declared> {
    let text = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md");
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().filter(|line| line.starts_with("| `gristmill"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (floor, _) = cells[2].split_once(':').expect("a floor and a duty");
        let floor = floor.parse().expect("a floor is a number");
        let imports = names(cells[3]).into_iter().map(|short| format!("gristmill-{short}")).collect();
        (names(cells[1]).remove(0), Declared { floor, imports })
    })
    .collect()
}

/// Crate → the own crates that it imports, as Cargo sees it.
fn actual() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let own = |package: &serde_json::Value| {
        let name = package["name"].as_str().expect("a name").to_owned();
        let imports = package["dependencies"].as_array().expect("dependencies").iter();
        let imports = imports.filter(|dependency| dependency["kind"].is_null());
        let imports = imports.filter_map(|dependency| dependency["name"].as_str()).map(str::to_owned);
        (name, imports.filter(|name| name.starts_with("gristmill")).collect())
    };
    packages.iter().map(own).filter(|(name, _): &(String, _)| name.starts_with("gristmill")).collect()
}

#[test]
fn every_import_between_our_crates_stands_in_the_table() {
    let (declared, actual) = (declared(), actual());
    assert!(
        declared.keys().eq(actual.keys()),
        "the table of docs/ARCHITECTURE.md lists other crates than the workspace: {:?}",
        actual.keys()
    );
    for (name, imports) in &actual {
        let row = &declared[name];
        let extra: Vec<_> = imports.difference(&row.imports).collect();
        assert!(extra.is_empty(), "{name} imports {extra:?}, which docs/ARCHITECTURE.md does not allow");
        let unused: Vec<_> = row.imports.difference(imports).collect();
        assert!(unused.is_empty(), "docs/ARCHITECTURE.md lets {name} import {unused:?}, which it does not");
        let above: Vec<_> = imports.iter().filter(|import| declared[*import].floor >= row.floor).collect();
        assert!(above.is_empty(), "{name} on floor {} imports {above:?}, which stands no lower", row.floor);
    }
}

#[test]
fn the_deciding_floors_are_held_to_their_lints() {
    let lints = std::fs::read(root().join(".config/deterministic.clippy.toml")).expect("the lints");
    for floor in ["types", "checkpoint", "dataflow", "ports"] {
        let link = root().join("host/crates").join(floor).join("clippy.toml");
        assert_eq!(std::fs::read(&link).ok().as_ref(), Some(&lints), "{} is not those lints", link.display());
    }
}
