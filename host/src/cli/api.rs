//! The REST API, as the command line calls it.

use anyhow::{Context, anyhow, bail};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// A host's API.
pub(crate) struct Api {
    client: Client,
    base: String,
    token: Option<String>,
}

/// What the host said instead of doing what it was asked.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// The problem document (RFC 9457).
    pub(crate) problem: Value,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |field: &str| self.problem[field].as_str().unwrap_or_default();
        let detail = if text("detail").is_empty() { text("title") } else { text("detail") };
        write!(f, "{detail}")?;
        for problem in self.problem["problems"].as_array().into_iter().flatten() {
            write!(f, "\n  {}", problem_line(problem))?;
        }
        if !text("hint").is_empty() {
            write!(f, "\n  {}", text("hint"))?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// One finding of a problem document, on a line.
pub(crate) fn problem_line(problem: &Value) -> String {
    let text = |field: &str| problem[field].as_str().unwrap_or_default();
    let mut line = String::new();
    if let (Some(row), Some(column)) = (problem["line"].as_u64(), problem["column"].as_u64()) {
        line.push_str(&format!("line {row}, column {column}: "));
    }
    if !text("at").is_empty() {
        line.push_str(&format!("{}: ", text("at")));
    }
    line.push_str(text("message"));
    if !text("hint").is_empty() {
        line.push_str(&format!("; {}", text("hint")));
    }
    line
}

impl Api {
    pub(crate) fn new(base: &str, token: Option<String>) -> anyhow::Result<Self> {
        let client = Client::builder().build().context("making an HTTP client")?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), token })
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; an answer that is no success becomes a [`Refused`].
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(problem) => bail!(Refused { status, problem }),
            Err(_) => bail!("the host answered {status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// The same for an answer in JSON; an empty one is null.
    pub(crate) async fn json(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let body = self.send(request).await?.bytes().await.context("reading the host's answer")?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).context("the host's answer is not JSON")
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.json(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.json(self.request(Method::POST, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.json(self.request(Method::DELETE, path)).await
    }

    /// The data of each server-sent event, until `take` has enough or the stream ends.
    pub(crate) async fn follow(&self, path: &str, mut take: impl FnMut(Value) -> bool) -> anyhow::Result<()> {
        let mut response = self.send(self.request(Method::GET, path)).await?;
        let mut pending = Vec::new();
        while let Some(chunk) = response.chunk().await.context("the host closed the stream")? {
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let Some(data) = line.strip_prefix(b"data:") else { continue };
                let event = serde_json::from_slice(data.trim_ascii()).context("an event of the stream is not JSON")?;
                if !take(event) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        if error.is_connect() {
            return anyhow!(
                "no host answers at {}; start one with `gristmill serve`, or name another with --host or GRISTMILL_HOST",
                self.base
            );
        }
        anyhow!("talking to the host at {}: {error}", self.base)
    }
}
