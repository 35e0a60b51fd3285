//! The floors of `docs/ARCHITECTURE.md` are kept: who imports whom is what the table there says, and the floors below
//! the engine stay free of I/O, clocks and async.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ lies in the workspace").to_owned()
}

/// Crate → the own crates that it may import, read from the table in the document.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md");
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().filter(|line| line.starts_with("| `gristmill"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = names(cells[1]).remove(0);
        (name, names(cells[3]).into_iter().map(|short| format!("gristmill-{short}")).collect())
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
    let names = |table: &BTreeMap<String, _>| table.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&declared),
        names(&actual),
        "the table of docs/ARCHITECTURE.md lists other crates than the workspace"
    );
    for (name, imports) in &actual {
        let extra: Vec<_> = imports.difference(&declared[name]).collect();
        assert!(extra.is_empty(), "{name} imports {extra:?}, which docs/ARCHITECTURE.md does not allow");
        let unused: Vec<_> = declared[name].difference(imports).collect();
        assert!(unused.is_empty(), "docs/ARCHITECTURE.md lets {name} import {unused:?}, which it does not");
    }
}

#[test]
fn the_deciding_floors_do_no_io_and_know_no_clock() {
    let forbidden =
        ["std::fs", "std::net", "SystemTime", "Instant::now", "thread::sleep", "async fn", "tokio::", "rand::"];
    for floor in ["types", "dataflow", "ports"] {
        for file in sources(&root().join("host/crates").join(floor).join("src")) {
            let text = std::fs::read_to_string(&file).expect("readable");
            for word in forbidden {
                let found = text.lines().position(|line| line.contains(word) && !line.trim_start().starts_with("//"));
                assert!(
                    found.is_none(),
                    "{}:{}: `{word}` on a floor that only decides",
                    file.display(),
                    found.unwrap_or(0) + 1
                );
            }
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}
