//! Lines over TCP.
//!
//! A task connects and reads into a bounded queue; while the queue is full it does not read, so the peer is held back
//! by TCP itself. Each subtask has a connection of its own. What a peer has sent it does not send again: lines that were
//! read and are in no checkpoint are lost if the job restarts. Where that matters, post events to an `http` source.

mod reader;

use std::sync::Arc;
use std::time::Duration;

use gristmill_dataflow::document::{SocketSource, SourceSpec};
use gristmill_ports::parts::PartContext;
use gristmill_ports::{PortError, SourceReader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::reader::SocketReader;
use crate::arrivals::{Arrivals, Item};
use crate::format::event_reader::EventReader;
use crate::lines::{Line, LineBuffer};

/// Bytes that may wait for the reader.
const QUEUE: usize = 4 << 20;

/// A line fits into a batch, whatever the job asks for.
const MOST_LINE: usize = 64 << 20;

/// The longest wait before connecting again, unless the job asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Connects, and opens the reader of one subtask. A peer that cannot be reached is an error of the reader, later.
///
/// # Errors
/// `Fatal` for an address or a path that is none.
pub(crate) fn open(
    context: &PartContext,
    spec: &SourceSpec,
    socket: &SocketSource,
    runtime: &Handle,
) -> Result<Box<dyn SourceReader>, PortError> {
    let events = EventReader::new(spec)?;
    let port = socket.connect.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        let message = format!(
            "source `{}`: `{}` is not an address to connect to: write it such as 127.0.0.1:9999",
            context.node, socket.connect
        );
        return Err(PortError::fatal(message));
    }
    let longest = usize::try_from(socket.max_line.as_u64()).unwrap_or(usize::MAX).clamp(1, MOST_LINE);
    let arrivals = Arc::new(Arrivals::new(QUEUE));
    let connection = Connection {
        address: socket.connect.clone(),
        longest,
        reconnect: socket.reconnect.map(|span| span.0),
        arrivals: Arc::clone(&arrivals),
    };
    let task = runtime.spawn(connection.run());
    Ok(Box::new(SocketReader {
        arrivals,
        events,
        from: socket.connect.clone(),
        number: 0,
        now_ms: 0,
        _hangup: Hangup(task.abort_handle()),
    }))
}

/// Ends the task when the reader goes.
struct Hangup(AbortHandle);

impl Drop for Hangup {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The task that reads.
struct Connection {
    address: String,
    longest: usize,
    reconnect: Option<Duration>,
    arrivals: Arc<Arrivals>,
}

impl Connection {
    async fn run(self) {
        let mut failures = 0;
        loop {
            let (how, came) = self.read_once().await;
            let Some(wait) = self.reconnect else {
                self.arrivals.end(how);
                return;
            };
            if self.arrivals.is_over() {
                return;
            }
            if let Err(error) = how {
                self.arrivals.complain(error);
            }
            failures = if came { 0 } else { failures + 1 };
            tokio::time::sleep(backoff(wait, failures)).await;
        }
    }

    /// Reads one connection to its end, or to that of the queue. Also says whether anything came through it.
    async fn read_once(&self) -> (Result<(), PortError>, bool) {
        let mut stream = match TcpStream::connect(&self.address).await {
            Ok(stream) => stream,
            Err(error) => {
                return (Err(self.error("cannot connect", &error, "start the peer first, or set `reconnect`")), false);
            }
        };
        let mut lines = LineBuffer::new(self.longest);
        let mut came = false;
        loop {
            self.arrivals.room().await;
            match stream.read(lines.room()).await {
                Ok(bytes) => {
                    lines.filled(bytes);
                    came |= bytes > 0;
                    if self.arrivals.push(items(&mut lines)).is_err() || bytes == 0 {
                        return (Ok(()), came);
                    }
                }
                Err(error) => return (Err(self.broken(&lines, &error)), came),
            }
        }
    }

    /// The connection broke: the beginning of an event may be here, and its rest will not come.
    fn broken(&self, lines: &LineBuffer, error: &std::io::Error) -> PortError {
        if let Some(head) = lines.unfinished() {
            let reason = "the connection broke within the event".to_owned();
            // After a stop, nobody waits for what came half.
            self.arrivals.push(vec![Item::Cut { head: head.to_vec(), reason }]).ok();
        }
        self.error("lost the connection", error, "set `reconnect` to go on by itself")
    }

    /// Final, unless the job says when to connect again.
    fn error(&self, what: &str, error: &std::io::Error, hint: &str) -> PortError {
        let message = format!("{what} to `{}`: {error}", self.address);
        match self.reconnect {
            Some(_) => PortError::retry(format!("{message}; connecting again, as `reconnect` says")),
            None => PortError::fatal(format!("{message}; {hint}")),
        }
    }
}

fn items(lines: &mut LineBuffer) -> Vec<Item> {
    let mut items = Vec::new();
    while let Some(line) = lines.next_line() {
        items.push(match line {
            Line::Whole(range) => Item::Event(lines.bytes()[range].to_vec()),
            Line::TooLong(range) => Item::Cut { head: lines.bytes()[range].to_vec(), reason: lines.too_long() },
        });
    }
    items
}

/// The wait, doubled for each failure in a row.
fn backoff(wait: Duration, failures: u32) -> Duration {
    let doubled = wait.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(wait.max(LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
