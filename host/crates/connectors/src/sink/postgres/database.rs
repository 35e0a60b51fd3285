//! A connection to a database: what may take long has an end, and an error says whether it may pass.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use gristmill_dataflow::document::PostgresSink;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{PortError, Signal};
use tokio::runtime::Handle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{CancelToken, Client, Config, Error, NoTls};

use crate::sink::waiting::raised;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long what was sent may stay unacknowledged by the other machine.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How long telling the server to leave something may take.
const CANCEL: Duration = Duration::from_secs(5);

/// A connection over which nothing comes for so long is looked after: this often, and so many times.
const QUIET: Duration = Duration::from_secs(30);
const LOOKS: u32 = 3;

/// Which database, and how to wait for it.
pub(super) struct Database {
    config: Config,
    /// For messages: where, without secrets.
    shown: String,
    runtime: Handle,
    cancelled: Signal,
}

impl Database {
    /// # Errors
    /// `Fatal` for a URL that is none.
    pub(super) fn new(context: &PartContext, spec: &PostgresSink, runtime: Handle) -> Result<Self, PortError> {
        let refuse = |what: &str| PortError::fatal(format!("sink `{}`: {what}", context.node));
        // The URL may hold a secret: only the reason is told.
        let mut config: Config = spec.url.parse().map_err(|error: Error| {
            refuse(&format!(
                "`url` names no database: {}; write it such as postgres://user@host:5432/database",
                whole(&error)
            ))
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(refuse("`url` asks for TLS, which this sink does not speak; leave out `sslmode`"));
        }
        config.ssl_mode(SslMode::Disable).connect_timeout(CONNECT).tcp_user_timeout(UNACKNOWLEDGED);
        config.keepalives_idle(QUIET).keepalives_interval(QUIET / LOOKS).keepalives_retries(LOOKS);
        if config.get_application_name().is_none() {
            config.application_name(format!("gristmill {}/{}", context.job, context.node));
        }
        let shown = shown(&config);
        Ok(Self { config, shown, runtime, cancelled: context.cancelled.clone() })
    }

    /// Where it is, without secrets.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Connects. The connection is served by the runtime until the client is dropped.
    ///
    /// # Errors
    /// `Retry` if the server cannot be reached now, `Fatal` if it refuses.
    pub(super) fn connect(&self) -> Result<Client, PortError> {
        let (client, connection) = self.run(2 * CONNECT, self.config.connect(NoTls))?;
        // How it ends is seen by whoever asks next.
        drop(self.runtime.spawn(connection));
        Ok(client)
    }

    /// Waits for what the database is asked, at most so long, and not after the job is cancelled.
    ///
    /// # Errors
    /// `Retry` for what may pass, `Fatal` for what stays.
    pub(super) fn run<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, impl Into<Undone>>>,
    ) -> Result<T, PortError> {
        let done = self.runtime.block_on(async {
            tokio::select! {
                done = tokio::time::timeout(within, work) => Some(done),
                () = raised(&self.cancelled) => None,
            }
        });
        match done {
            None => Err(self.cancelled_before()),
            Some(Err(_)) => {
                Err(PortError::retry(format!("{} did not answer within {} s", self.shown, within.as_secs())))
            }
            Some(Ok(done)) => done.map_err(|undone| self.told(undone.into())),
        }
    }

    /// Waits for what the database is asked as long as it takes, but not after the job is cancelled: then the database is
    /// told to leave it. A server that is gone is noticed by the connection.
    ///
    /// # Errors
    /// As for [`Self::run`].
    pub(super) fn run_to_its_end<T>(
        &self,
        cancel: &CancelToken,
        work: impl Future<Output = Result<T, Undone>>,
    ) -> Result<T, PortError> {
        let done = self.runtime.block_on(async {
            tokio::select! {
                done = work => Some(done),
                () = raised(&self.cancelled) => {
                    // If that does not reach it either, it ends when it next says something.
                    tokio::time::timeout(CANCEL, cancel.cancel_query(NoTls)).await.ok();
                    None
                }
            }
        });
        match done {
            None => Err(self.cancelled_before()),
            Some(done) => done.map_err(|undone| self.told(undone)),
        }
    }

    fn cancelled_before(&self) -> PortError {
        PortError::retry(format!("{} did not answer before the job was cancelled", self.shown))
    }

    fn told(&self, undone: Undone) -> PortError {
        match undone {
            Undone::Port(error) => error,
            Undone::Database(error) => self.explain(&error),
            Undone::Records { table, error } => {
                let PortError { kind, message } = self.explain(&error);
                PortError { kind, message: format!("in the table of commits, `{table}`, {message}") }
            }
        }
    }

    fn explain(&self, error: &Error) -> PortError {
        let shown = &self.shown;
        match error.as_db_error() {
            Some(refusal) if may_pass(refusal.code()) => {
                PortError::retry(format!("{shown} cannot do it now: {}", sentence(refusal)))
            }
            Some(refusal) => PortError::fatal(format!("{shown} refuses: {}", sentence(refusal))),
            None if is_of_the_connection(error) => PortError::retry(format!(
                "{shown} cannot be reached: {}; check its address in `url`, and that it runs",
                whole(error)
            )),
            None => PortError::fatal(format!("{shown}: {}", whole(error))),
        }
    }
}

/// Why something was not done.
pub(super) enum Undone {
    Database(Error),
    /// Not the sink's table, but the one of its commits.
    Records {
        table: String,
        error: Error,
    },
    Port(PortError),
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<PortError> for Undone {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// Whether the same may go well later. By class: connections, rolled back for the sake of others, out of resources,
/// stopped by an operator, the system; and locks, time-outs of idle transactions, a server that is no primary yet.
fn may_pass(code: &SqlState) -> bool {
    let passing_classes = ["08", "40", "53", "57", "58"];
    let passing = ["55P03", "25P03", "25006"];
    passing_classes.iter().any(|class| code.code().starts_with(class)) || passing.contains(&code.code())
}

/// Errors that no server has said come from the connection, unless their cause is something else, such as a password that
/// is missing.
fn is_of_the_connection(error: &Error) -> bool {
    error.is_closed() || error.source().is_none_or(|cause| cause.is::<io::Error>())
}

/// All that the server says: the constraint and the row are in its details.
fn sentence(refusal: &DbError) -> String {
    let mut text = refusal.message().to_owned();
    for (before, part) in [("; ", refusal.detail()), ("; ", refusal.hint()), (" in ", refusal.where_())] {
        if let Some(part) = part {
            text = format!("{text}{before}{}", part.trim_end_matches('.'));
        }
    }
    if let Some(constraint) = refusal.constraint() {
        text = format!("{text} (constraint `{constraint}`)");
    }
    format!("{text} [{}]", refusal.code().code()).replace('\n', " ")
}

/// An error with its causes.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn shown(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().map_or(String::new(), |port| format!(":{port}"));
    match config.get_dbname() {
        Some(name) => format!("the database `{name}` at `{host}{port}`"),
        None => format!("the database at `{host}{port}`"),
    }
}
