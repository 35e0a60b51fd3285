//! Finds a Rust that can compile for Wasm, and asks for one where there is none.
//!
//! In this order, so that the network is asked last: the toolchain at hand, if it has the target; Debian's, which builds
//! its own `std`; the target, fetched by rustup.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What guests are compiled for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// How long rustup may take to fetch the target.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Rust that can compile guests.
pub(crate) enum Toolchain {
    /// The one that runs this program.
    AtHand,
    /// Debian's `rustc-web`, with `std` built from `rust-web-src` and linked by this linker.
    Debian { linker: PathBuf },
}

impl Toolchain {
    /// A toolchain that is there, or can be had.
    pub(crate) fn find() -> Result<Self> {
        if has_target()? {
            return Ok(Self::AtHand);
        }
        if let Some(debian) = Self::debian() {
            return Ok(debian);
        }
        if rustup_adds_target() && has_target()? {
            return Ok(Self::AtHand);
        }
        bail!(
            "no Rust here can compile for {TARGET}\n\
             install the target with `rustup target add {TARGET}`,\n\
             or on Debian `apt-get install rustc-web cargo-web rust-web-src lld-22`"
        )
    }

    fn debian() -> Option<Self> {
        let sources = Path::new("/usr/lib/rustlib/src/rust/library/std/Cargo.toml");
        let installed = sources.exists() && Path::new("/usr/bin/cargo").exists();
        let linker = newest_linker()?;
        installed.then_some(Self::Debian { linker })
    }

    /// A `cargo build --release` for Wasm, to be given its further arguments.
    pub(crate) fn cargo_build(&self) -> Command {
        let mut cargo = match self {
            Self::AtHand => {
                let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
                cargo.arg("build");
                cargo
            }
            Self::Debian { linker } => {
                let mut cargo = Command::new("/usr/bin/cargo");
                cargo.args(["build", "-Zbuild-std=std,panic_abort"]);
                cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
                cargo
            }
        };
        cargo.args(["--release", "--target", TARGET]);
        cargo
    }
}

/// Whether the toolchain at hand has `std` for the target.
fn has_target() -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().context("`rustc` does not start")?;
    let sysroot = String::from_utf8(output.stdout).context("`rustc --print sysroot` is not UTF-8")?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir())
}

/// `/usr/bin/wasm-ld-NN` with the highest number: the one that belongs to the newest Rust.
fn newest_linker() -> Option<PathBuf> {
    let names = std::fs::read_dir("/usr/bin").ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let versions = names.filter_map(|name| name.strip_prefix("wasm-ld-")?.parse::<u32>().ok());
    versions.max().map(|version| PathBuf::from(format!("/usr/bin/wasm-ld-{version}")))
}

/// Asks rustup for the target; `false` if there is no rustup, or no network.
fn rustup_adds_target() -> bool {
    let rustup = Command::new("rustup")
        .args(["target", "add", TARGET])
        .env("RUSTUP_MAX_RETRIES", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut rustup) = rustup else { return false };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustup.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) | Err(_) => {
                // It is no use any more; whether it could still be stopped changes nothing.
                let _ = rustup.kill();
                let _ = rustup.wait();
                return false;
            }
        }
    }
}
