//! What a scenario asks of its host: every request may come twice, since the host may die before it answers.

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{LOOK, World};

impl World {
    /// Uploads a module, as `name@1`.
    pub(crate) fn push(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let (status, answer) = self.ask(&Method::POST, &format!("/v1/modules?name={name}@1"), |request| {
            request.header("content-type", "application/wasm").body(bytes.to_vec())
        })?;
        if status >= 300 {
            bail!("the module {name} was refused: {answer}");
        }
        Ok(())
    }

    /// Submits a job, unless it is there already.
    pub(crate) fn submit(&mut self, document: &Value) -> anyhow::Result<()> {
        let (status, answer) = self.ask(&Method::POST, "/v1/jobs", |request| request.json(document))?;
        match status {
            201 | 409 => Ok(()),
            _ => bail!("the job was refused: {answer}"),
        }
    }

    /// The job as the host shows it.
    pub(crate) fn job(&mut self, job: &str) -> anyhow::Result<Value> {
        let (status, seen) = self.ask(&Method::GET, &format!("/v1/jobs/{job}"), |request| request)?;
        if status != 200 {
            bail!("the job {job} is not known any more: {seen}{}", self.log_end());
        }
        if seen["state"] == "FAILED" {
            bail!("the job {job} has failed: {}", seen["cause"]);
        }
        Ok(seen)
    }

    /// Waits until the sinks of a job were given so many events.
    pub(crate) fn until_written(&mut self, job: &str, events: u64) -> anyhow::Result<()> {
        self.until(job, &format!("{events} events written"), |seen| seen["events_written"].as_u64() >= Some(events))
    }

    /// Waits until the job is in this state.
    pub(crate) fn until_state(&mut self, job: &str, state: &str) -> anyhow::Result<()> {
        self.until(job, state, |seen| seen["state"] == state)
    }

    fn until(&mut self, job: &str, awaited: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        loop {
            let seen = self.job(job)?;
            if is_so(&seen) {
                return Ok(());
            }
            self.in_time(&format!(
                "{awaited} of job {job}, which is {} with {}",
                seen["state"], seen["events_written"]
            ))?;
            std::thread::sleep(LOOK);
        }
    }

    /// Posts lines until they are taken, under a key.
    pub(crate) fn feed(&mut self, job: &str, key: &str, lines: &str) -> anyhow::Result<()> {
        loop {
            let (status, answer) =
                self.ask(&Method::POST, &format!("/v1/jobs/{job}/sources/events/events"), |request| {
                    let request = request.header("content-type", "application/x-ndjson").header("idempotency-key", key);
                    request.body(lines.to_owned())
                })?;
            match status {
                202 => return Ok(()),
                // The source is not open yet, or full.
                404 | 409 | 429 | 503 => {}
                _ => bail!("the post {key} was answered {status}: {answer}"),
            }
            self.in_time("room for what is posted")?;
            std::thread::sleep(LOOK);
        }
    }

    /// Has something done to a job, again if the host forgets it when it dies.
    pub(crate) fn done(&mut self, job: &str, what: &str, body: &Value) -> anyhow::Result<()> {
        loop {
            let (status, begun) =
                self.ask(&Method::POST, &format!("/v1/jobs/{job}/{what}"), |request| request.json(body))?;
            match status {
                200 => return Ok(()),
                202 if self.succeeds(&begun)? => return Ok(()),
                // A host that died has done it, and could not say so.
                409 if self.job(job)?["state"] == "STOPPED" => return Ok(()),
                // The host died, or the job was between two attempts.
                202 | 409 => {}
                _ => bail!("asking for {what} was answered {status}: {begun}"),
            }
            self.in_time(&format!("{what}: {begun}"))?;
            std::thread::sleep(LOOK);
        }
    }

    /// Has a savepoint of a job taken, again if the host dies before it is there. Whenever there is one, it must be whole, and
    /// its operation must have succeeded.
    pub(crate) fn save(&mut self, job: &str, name: &str) -> anyhow::Result<()> {
        let place = format!("/v1/jobs/{job}/savepoints");
        loop {
            let (status, begun) = self.ask(&Method::POST, &place, |request| request.json(&json!({"name": name})))?;
            match status {
                202 => {
                    let is_said = self.succeeds(&begun)?;
                    let (status, _) = self.ask(&Method::GET, &format!("{place}/{name}"), |request| request)?;
                    if is_said != (status == 200) {
                        bail!("the savepoint is answered {status}, and its operation succeeded: {is_said}");
                    }
                }
                // It was there when the host died, or the job is between two attempts.
                409 => {}
                _ => bail!("asking for a savepoint was answered {status}: {begun}"),
            }
            let (status, verifying) = self.ask(&Method::POST, &format!("{place}/{name}/verify"), |request| request)?;
            if status == 202 && self.succeeds(&verifying)? {
                return Ok(());
            }
            self.in_time(&format!("a whole savepoint: {verifying}"))?;
            std::thread::sleep(LOOK);
        }
    }

    fn succeeds(&mut self, begun: &Value) -> anyhow::Result<bool> {
        let operation = begun["id"].as_str().with_context(|| format!("an operation without a name: {begun}"))?;
        loop {
            let (_, seen) = self.ask(&Method::GET, &format!("/v1/operations/{operation}"), |request| request)?;
            match seen["status"].as_str() {
                Some("SUCCEEDED") => return Ok(true),
                Some("FAILED") => return Ok(false),
                _ => self.in_time(&format!("an end of operation {seen}"))?,
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The values of the dead letters that nobody has put back; those that are not decided say so.
    pub(crate) fn letters(&mut self, job: &str) -> anyhow::Result<Vec<String>> {
        let (_, page) =
            self.ask(&Method::GET, &format!("/v1/jobs/{job}/dead-letters?limit=1000"), |request| request)?;
        let letters = page["letters"].as_array().with_context(|| format!("no letters: {page}"))?;
        let mut values: Vec<String> = letters
            .iter()
            .filter(|letter| letter["replayed"] == json!(false))
            .map(|letter| match letter["decided"].as_bool() {
                Some(true) => letter["value"]["text"].as_str().unwrap_or_default().to_owned(),
                Some(false) | None => format!("not decided: {letter}"),
            })
            .collect();
        values.sort();
        Ok(values)
    }
}
