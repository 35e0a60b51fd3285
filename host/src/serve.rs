//! The host as a server: opens what it remembers, serves the API, drains at a signal.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use gristmill_catalog::CrashLimits;
use gristmill_server::{KnownToken, ServerOptions, router};
use tokio::net::TcpListener;

use crate::shutdown::Signals;
use crate::telemetry::LogFormat;
use crate::wiring;

/// How long jobs may take for their last checkpoint at a signal, before they are broken off.
const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// What `gristmill serve` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeOptions {
    /// Where to listen: an address or a name, and a port. Anything but loopback demands a token; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7171", env = "GRISTMILL_LISTEN", value_name = "ADDRESS", value_parser = resolve)]
    pub listen: SocketAddr,
    /// Where modules, jobs, compiled code and dead letters are kept.
    #[arg(long, default_value = ".gristmill", env = "GRISTMILL_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where checkpoints are kept: a folder, or an object store such as s3://bucket/prefix, for which the usual AWS_*
    /// variables hold. Default: in the data directory.
    #[arg(long, env = "GRISTMILL_CHECKPOINTS", value_name = "URL")]
    pub checkpoints: Option<String>,
    /// Tokens with names and roles, a line each: `NAME ROLE TOKEN`, where the role is viewer, operator or admin, and in the
    /// place of the token its hash may stand, as blake3:HEX. `--token` is one more, which may do everything.
    #[arg(long, env = "GRISTMILL_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Crash bundles that are kept of each job: calls that ended in a fault, to be made again with `gristmill replay`. 0
    /// keeps none.
    #[arg(long, default_value_t = 16, value_name = "BUNDLES")]
    pub crashes: usize,
    /// Largest crash bundle.
    #[arg(long, default_value = "4MiB", value_name = "BYTES")]
    pub max_crash: bytesize::ByteSize,
    /// Largest module that may be uploaded.
    #[arg(long, default_value = "64MiB", value_name = "BYTES")]
    pub max_module: bytesize::ByteSize,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Writes the address listened at into a file, once requests are taken.
    #[arg(long, value_name = "FILE")]
    pub address_file: Option<PathBuf>,
}

/// Serves until a signal; then every job makes a last checkpoint, and the process leaves. Jobs go on when it is back.
///
/// # Errors
/// If the host cannot start: a data directory in use, a port in use, an address without a token, a bad file of tokens.
pub async fn serve(options: ServeOptions, token: Option<String>) -> anyhow::Result<ExitCode> {
    let server_options = ServerOptions {
        listen: options.listen,
        token,
        tokens: options.tokens.as_deref().map_or_else(|| Ok(Vec::new()), tokens)?,
        max_module_bytes: options.max_module.as_u64(),
        ..ServerOptions::default()
    };
    server_options.check()?;
    let control = tokio::task::spawn_blocking({
        let (data_dir, storage) = (options.data_dir.clone(), options.checkpoints.clone());
        let bytes = usize::try_from(options.max_crash.as_u64()).unwrap_or(usize::MAX);
        let crashes = CrashLimits { bundles: options.crashes, bytes };
        move || wiring::control(&data_dir, storage.as_deref(), crashes)
    })
    .await??;
    let listener = TcpListener::bind(options.listen).await.map_err(|error| cannot_listen(options.listen, &error))?;
    let address = listener.local_addr().context("asking for the address listened at")?;
    let mut signals = Signals::listen().context("listening to signals")?;
    control.restore().await.context("reading the catalog")?;
    tracing::info!(%address, data_dir = %options.data_dir.display(), "gristmill listens");
    announce(&options, address)?;
    let router = router(Arc::clone(&control), &server_options);
    let shutdown = async move {
        let signal = signals.next().await;
        tracing::info!(
            signal,
            "shutting down: jobs make a last checkpoint and go on when the host is back; once more ends at once"
        );
        tokio::select! {
            () = control.drain(DRAIN_GRACE) => {}
            signal = signals.next() => tracing::warn!(signal, "ending at once"),
        }
    };
    gristmill_server::serve(listener, router, shutdown).await.context("serving the API")?;
    tracing::info!("gristmill has shut down");
    Ok(ExitCode::SUCCESS)
}

/// The tokens of a file.
fn tokens(file: &Path) -> anyhow::Result<Vec<KnownToken>> {
    let read = || anyhow::Ok((std::fs::metadata(file)?, std::fs::read_to_string(file)?));
    let (metadata, text) = read().with_context(|| format!("reading the tokens in `{}`", file.display()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "others on this machine can read the tokens: `chmod 600` the file");
    }
    KnownToken::parse(&text).map_err(|bad| anyhow!("the tokens in `{}` cannot be used:\n{bad}", file.display()))
}

/// The address behind `localhost:7171` or `127.0.0.1:7171`; of several, the first of IPv4, which is what clients try.
fn resolve(written: &str) -> Result<SocketAddr, String> {
    let found: Vec<_> = written
        .to_socket_addrs()
        .map_err(|error| format!("{error}; write an address and a port, such as 127.0.0.1:7171"))?
        .collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("`{written}` has no address"))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "another process listens at {address} already; stop it, or choose another port with --listen \
             ({}:0 takes a free one)",
            address.ip()
        ),
        _ => anyhow!("listening at {address}: {error}"),
    }
}

/// Tells whoever started the host where it listens.
fn announce(options: &ServeOptions, address: SocketAddr) -> anyhow::Result<()> {
    if let Some(file) = &options.address_file {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("."), PathBuf::from);
        // Written aside and renamed, so that a reader never sees half an address.
        let aside = tempfile::NamedTempFile::new_in(&folder).context("writing the address file")?;
        std::fs::write(aside.path(), format!("http://{address}\n")).context("writing the address file")?;
        aside.persist(file).context("writing the address file")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_listens_at_a_name_as_at_an_address() {
        assert!(resolve("localhost:0").expect("a name").ip().is_loopback());
        assert_eq!(resolve("127.0.0.1:7171"), Ok(SocketAddr::from(([127, 0, 0, 1], 7171))));
        let refused = resolve("localhost").expect_err("no port");
        assert!(refused.contains("127.0.0.1:7171"), "{refused}");
    }
}
