//! Posts events to a URL as NDJSON, in batches.
//!
//! At least once: a request that was not answered well is sent again, under the same `Idempotency-Key`, and what came
//! behind the last checkpoint is sent again after a restart. Sending blocks the subtask's own thread; that holds its
//! input back, and nothing else. A job that is cancelled waits for no answer.

mod request;

use std::error::Error;
use std::fmt::Write;
use std::time::{Duration, Instant};

use gristmill_dataflow::document::HttpSink;
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Signal, Sink};
use gristmill_types::EventBatch;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use tokio::runtime::Handle;

use self::request::{Request, Requests};
use super::tally::Tally;
use super::waiting::raised;

/// The longest wait that a peer may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What is shown of an answer that refuses.
const SHOWN: usize = 200;

/// Opens the sink of one subtask, to go on from its position if there is one. Nothing is sent yet.
///
/// # Errors
/// `Fatal` for a URL or a header that is none, and if the position cannot be read.
pub(crate) fn open(
    context: &PartContext,
    spec: &HttpSink,
    resume: Option<&[u8]>,
    runtime: Handle,
) -> Result<Box<dyn Sink>, PortError> {
    let refuse = |what: String| PortError::fatal(format!("sink `{}`: {what}", context.node));
    // The URL may hold a secret: only the reason is told.
    let url: Url = spec.url.parse().map_err(|error| refuse(format!("`url` is not a url: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("`url` begins with neither http:// nor https://".to_owned()));
    }
    if spec.batch == 0 {
        return Err(refuse("`batch` is 0, but a request holds at least one event".to_owned()));
    }
    let headers = headers(spec).map_err(refuse)?;
    let client = Client::builder()
        .default_headers(headers)
        .timeout(spec.timeout.0)
        // A redirected post goes on as a get without its body, whose 200 would pass for the events being taken.
        .redirect(Policy::none())
        .user_agent(concat!("gristmill/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| refuse(format!("cannot make an http client: {}", whole(&error))))?;
    let tally = Tally::resume(resume, true, context.node.as_str())?;
    Ok(Box::new(HttpWriter {
        shown: format!("`{}`", without_secrets(url.clone())),
        runtime,
        client,
        url,
        requests: Requests::new(context, spec.batch as usize, tally.summary().events),
        most_tries: spec.retry.saturating_add(1),
        tries: 0,
        not_before: None,
        cancelled: context.cancelled.clone(),
        tally,
    }))
}

/// Values may hold secrets: only names are told.
fn headers(spec: &HttpSink) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    for (name, value) in &spec.headers {
        let header: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header name"))?;
        let mut value: HeaderValue =
            value.parse().map_err(|_| format!("the value of the header `{name}` is not one line of text"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

fn without_secrets(mut url: Url) -> Url {
    url.set_query(None);
    url.set_fragment(None);
    // These fail only for URLs that cannot have a user, and so have none.
    url.set_username("").ok();
    url.set_password(None).ok();
    url
}

struct HttpWriter {
    /// The URL, for messages.
    shown: String,
    runtime: Handle,
    client: Client,
    url: Url,
    requests: Requests,
    most_tries: u32,
    /// Tries of the first request that failed.
    tries: u32,
    /// When the peer wants to hear from us again.
    not_before: Option<Instant>,
    cancelled: Signal,
    tally: Tally,
}

/// What became of one try.
enum Verdict {
    Taken,
    /// It may pass; the peer may have said when.
    Again(String, Option<Duration>),
    Refused(String),
    /// The job was cancelled before there was an answer.
    Cancelled,
}

impl Sink for HttpWriter {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        // First what waits already: so at most one batch waits beside the open request.
        self.send()?;
        self.requests.add(events);
        self.tally.count(events);
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.requests.seal();
        self.send()
    }

    fn position(&self) -> Vec<u8> {
        self.tally.position()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.flush()?;
        Ok(Some(self.tally.summary()))
    }
}

impl HttpWriter {
    /// Sends all requests that are ready.
    fn send(&mut self) -> Result<(), PortError> {
        while let Some(request) = self.requests.first() {
            if let Some(left) = self.not_before.and_then(|then| then.checked_duration_since(Instant::now())) {
                return Err(PortError::retry(format!("{} asks to wait for {} ms more", self.shown, left.as_millis())));
            }
            let answered = try_once(&self.client, &self.url, request);
            let verdict = self.runtime.block_on(async {
                tokio::select! {
                    verdict = answered => verdict,
                    () = raised(&self.cancelled) => Verdict::Cancelled,
                }
            });
            match verdict {
                Verdict::Taken => {
                    self.requests.remove_first();
                    (self.tries, self.not_before) = (0, None);
                }
                Verdict::Again(reason, wait) => return Err(self.again(&reason, wait)),
                Verdict::Refused(reason) => return Err(PortError::fatal(format!("{} {reason}", self.shown))),
                Verdict::Cancelled => {
                    return Err(PortError::retry(format!(
                        "{} did not answer before the job was cancelled",
                        self.shown
                    )));
                }
            }
        }
        Ok(())
    }

    fn again(&mut self, reason: &str, wait: Option<Duration>) -> PortError {
        self.tries += 1;
        if self.tries >= self.most_tries {
            let message = format!("{} {reason}; gave up after {} tries, as `retry` says", self.shown, self.tries);
            return PortError::given_up(message);
        }
        self.not_before = wait.map(|wait| Instant::now() + wait.min(LONGEST_WAIT));
        PortError::retry(format!("{} {reason}", self.shown))
    }
}

async fn try_once(client: &Client, url: &Url, request: &Request) -> Verdict {
    let sent = client
        .post(url.clone())
        .header("idempotency-key", &request.idempotency_key)
        .body(request.body.clone())
        .send()
        .await;
    match sent {
        Ok(answer) => judge(answer).await,
        Err(error) if error.is_builder() => Verdict::Refused(whole(&error.without_url())),
        Err(error) if error.is_timeout() => Verdict::Again("did not answer in time".to_owned(), None),
        Err(error) => Verdict::Again(format!("cannot be reached: {}", whole(&error.without_url())), None),
    }
}

async fn judge(answer: Response) -> Verdict {
    let status = answer.status();
    if status.is_success() {
        return Verdict::Taken;
    }
    let may_pass = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY);
    if may_pass {
        return Verdict::Again(format!("answered {status}"), retry_after(&answer));
    }
    if status.is_redirection() {
        return Verdict::Refused(format!("answered {status}{}", moved_to(&answer)));
    }
    let body = beginning(answer).await;
    Verdict::Refused(if body.is_empty() {
        format!("answered {status}")
    } else {
        format!("answered {status}: `{body}`")
    })
}

/// Where a peer that has moved wants to be found. Nothing is posted there unasked: the URL may hold a secret, and
/// another host is for the job's author to trust.
fn moved_to(answer: &Response) -> String {
    let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    // It may stand relative to the URL that was asked.
    match location.and_then(|location| answer.url().join(location).ok()) {
        Some(there) => {
            format!(" and points to `{}`; write the URL that takes the events as `url`", without_secrets(there))
        }
        None => "; write the URL that takes the events as `url`".to_owned(),
    }
}

/// `Retry-After` in seconds. Dates are not read: the runtime's own backoff serves for them.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds: u64 = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The beginning of an answer's body, in one line. Never more is read than is shown.
async fn beginning(mut answer: Response) -> String {
    let mut body = Vec::new();
    while body.len() < SHOWN {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            // Half an answer still says more than none.
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(SHOWN);
    String::from_utf8_lossy(&body).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error with its causes.
fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("a string takes everything");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
