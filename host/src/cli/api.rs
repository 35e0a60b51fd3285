//! The REST API, as the command line calls it.

use anyhow::{Context, anyhow, bail};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;

/// A host's API.
pub(crate) struct Api {
    client: Client,
    base: Url,
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
        let problems = self.problem["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
        // One alone is the detail, with its hint.
        let is_said = |problem: &Value| problem["message"].as_str().is_some_and(|message| detail.contains(message));
        for problem in problems.iter().filter(|problem| problems.len() > 1 || !is_said(problem)) {
            write!(f, "\n  {}", problem_line(problem))?;
        }
        if !text("hint").is_empty() {
            write!(f, "\n  {}", in_commands(text("hint")))?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// A hint of the API for people at a command line: requests as the commands that send them.
fn in_commands(hint: &str) -> String {
    let mut words = hint.split(' ').peekable();
    let mut said = Vec::new();
    while let Some(word) = words.next() {
        let command = words.peek().and_then(|path| match (word, path.strip_prefix("/v1/")?.split_once('/')) {
            ("GET", Some(("jobs", job))) if job.ends_with("/checkpoints") => {
                Some(format!("`gristmill job checkpoints {}`", job.trim_end_matches("/checkpoints")))
            }
            ("GET", Some(("jobs", job))) => Some(format!("`gristmill job inspect {job}`")),
            ("GET", None) if *path == "/v1/jobs" => Some("`gristmill job list`".to_owned()),
            ("GET", None) if *path == "/v1/modules" => Some("`gristmill module list`".to_owned()),
            ("POST", None) if *path == "/v1/modules" => Some("`gristmill module push`".to_owned()),
            _ => None,
        });
        if command.is_some() {
            words.next();
        }
        said.push(command.unwrap_or_else(|| word.to_owned()));
    }
    said.join(" ")
}

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
    /// # Errors
    /// If `host` is not the address of a host.
    pub(crate) fn new(host: &str, token: Option<String>) -> anyhow::Result<Self> {
        let client = Client::builder().build().context("making an HTTP client")?;
        let base = Url::parse(host).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| {
            anyhow!(
                "`{host}` is not the address of a host: give --host or GRISTMILL_HOST one such as http://127.0.0.1:7171"
            )
        })?;
        Ok(Self { client, base, token })
    }

    /// A request to a path, percent-encoded where it must be.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base.as_str().trim_end_matches('/')));
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
    pub(crate) async fn follow(
        &self,
        path: &str,
        mut take: impl FnMut(Value) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let mut response = self.send(self.request(Method::GET, path)).await?;
        let mut pending = Vec::new();
        while let Some(chunk) = response.chunk().await.context("the host closed the stream")? {
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let Some(data) = line.strip_prefix(b"data:") else { continue };
                let event = serde_json::from_slice(data.trim_ascii()).context("an event of the stream is not JSON")?;
                if !take(event)? {
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
                self.base.as_str().trim_end_matches('/')
            );
        }
        anyhow!("talking to the host at {}: {}", self.base, std::error::Error::source(error).unwrap_or(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_speak_of_commands_and_not_of_requests() {
        let cases = [
            ("GET /v1/jobs lists the jobs that there are", "`gristmill job list` lists the jobs that there are"),
            ("look at its state with GET /v1/jobs/a-b", "look at its state with `gristmill job inspect a-b`"),
            ("GET /v1/jobs/a/checkpoints lists them", "`gristmill job checkpoints a` lists them"),
            ("POST /v1/modules uploads one", "`gristmill module push` uploads one"),
            ("did you mean `GET`?", "did you mean `GET`?"),
        ];
        for (hint, words) in cases {
            assert_eq!(in_commands(hint), words);
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_one_that_is() {
        for wrong in ["foo", "ftp://x", "", "http://", "127.0.0.1:7171"] {
            let error = Api::new(wrong, None).err().expect("no address").to_string();
            assert!(error.contains(&format!("`{wrong}`")) && error.contains("http://127.0.0.1:7171"), "{error}");
        }
        assert!(Api::new("https://host.example/behind/a/proxy/", None).is_ok());
    }
}
