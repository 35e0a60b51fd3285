//! Builds the Rust guests and lays them where jobs and tests look for them.
//!
//! What comes out are core modules that carry their component types; the host makes components of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::toolchain::{TARGET, Toolchain};

/// The workspaces of guests, relative to the root.
const WORKSPACES: [&str; 2] = ["guest-examples", "tests/guests"];

/// Builds the guests of these package names, or all if none is named. Says what is new; nothing if nothing is.
pub(crate) fn build_all(root: &Path, only: &[&str]) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let mut known = Vec::new();
    for workspace in WORKSPACES.map(|workspace| root.join(workspace)) {
        let guests = guests_of(&workspace)?;
        let is_wanted = |guest: &&Guest| only.is_empty() || only.contains(&guest.package.as_str());
        let wanted: Vec<_> = guests.iter().filter(is_wanted).collect();
        if !wanted.is_empty() {
            build(&toolchain, &workspace, &wanted)?;
        }
        known.extend(guests.into_iter().map(|guest| guest.package));
    }
    let unknown = only.iter().find(|name| !known.iter().any(|known| known == *name));
    ensure!(unknown.is_none(), "there is no guest `{}`", unknown.unwrap_or(&""));
    Ok(())
}

/// A package that becomes a module.
struct Guest {
    package: String,
    /// The library's name: the file's, with underscores.
    library: String,
}

/// The packages of a workspace that make a `cdylib`.
fn guests_of(workspace: &Path) -> Result<Vec<Guest>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .output()
        .context("`cargo metadata` does not start")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    let metadata: Value = serde_json::from_slice(&output.stdout).context("`cargo metadata` is not JSON")?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    Ok(packages.iter().filter_map(guest_of).collect())
}

fn guest_of(package: &Value) -> Option<Guest> {
    let is_module =
        |target: &&Value| target["crate_types"].as_array().is_some_and(|types| types.contains(&"cdylib".into()));
    let target = package["targets"].as_array()?.iter().find(is_module)?;
    Some(Guest { package: package["name"].as_str()?.to_owned(), library: target["name"].as_str()?.replace('-', "_") })
}

fn build(toolchain: &Toolchain, workspace: &Path, guests: &[&Guest]) -> Result<()> {
    let target_dir = target_dir(workspace);
    let mut cargo = toolchain.cargo_build();
    cargo.arg("--manifest-path").arg(workspace.join("Cargo.toml")).arg("--target-dir").arg(&target_dir);
    cargo.args(guests.iter().flat_map(|guest| ["--package", &guest.package]));
    // Cargo's account of dependencies is of interest only when it fails; warnings belong to `make check`.
    let output = cargo.arg("--quiet").output().context("cargo does not start")?;
    if !output.status.success() {
        bail!("guests of {} do not build\n{}", workspace.display(), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let modules = workspace.join("target/modules");
    std::fs::create_dir_all(&modules).with_context(|| format!("cannot make {}", modules.display()))?;
    let built = target_dir.join(TARGET).join("release");
    guests.iter().try_for_each(|guest| lay(guest, &built, &modules))
}

/// Puts a module in its place, if it is not there already.
fn lay(guest: &Guest, built: &Path, modules: &Path) -> Result<()> {
    let from = built.join(format!("{}.wasm", guest.library));
    let to = modules.join(format!("{}.wasm", guest.library.replace('_', "-")));
    let bytes = std::fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
    if std::fs::read(&to).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    // Whoever reads it meanwhile sees the old one or the new one, never half of one.
    let aside = to.with_extension("wasm.new");
    std::fs::write(&aside, &bytes).with_context(|| format!("cannot write {}", aside.display()))?;
    std::fs::rename(&aside, &to).with_context(|| format!("cannot write {}", to.display()))?;
    println!("{} ({} KiB)", to.display(), bytes.len().div_ceil(1024));
    Ok(())
}

/// Guests have a target directory of their own: another compiler may build them, and neither waits for the other's lock.
fn target_dir(workspace: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(mut host) => {
            host.push("-guests");
            PathBuf::from(host)
        }
        None => workspace.join("target"),
    }
}
