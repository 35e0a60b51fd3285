//! Swaps, rescales and edits, asked for over the deaths of hosts: whatever an operation says in the end must be so.

use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{LOOK, World};

/// The operator that they are about.
pub(crate) const OPERATOR: &str = "count";

impl World {
    /// Swaps a module in, again if a crash undoes it.
    pub(crate) fn swap_in(&mut self, job: &str, module: &str) -> anyhow::Result<()> {
        self.swap_until_in(job, &json!({"module": module, "probation": {"time": "0s"}}), module)
    }

    /// The same, and nothing is decided while it is on probation.
    pub(crate) fn swap_held_in(&mut self, job: &str, module: &str) -> anyhow::Result<()> {
        let body = json!({"module": module, "probation": {"time": "50ms"}, "way_back": "rewind"});
        self.swap_until_in(job, &body, module)
    }

    fn swap_until_in(&mut self, job: &str, body: &Value, module: &str) -> anyhow::Result<()> {
        while self.module(job)? != module {
            if let Some(operation) = self.begin_swap(job, body)? {
                self.swap_ends(job, &operation, module)?;
            }
            self.in_time(&format!("module {module} in its place"))?;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Swaps a module in and takes that back on its probation. A host that dies meanwhile ends the probation: then it stays.
    pub(crate) fn swap_and_take_back(&mut self, job: &str, module: &str) -> anyhow::Result<()> {
        self.take_back_at(job, &json!({"module": module, "probation": {"time": "60s"}}), "probation", module)
    }

    /// The same of the one of two modules that does not run, with nothing decided meanwhile: the job goes on from before the
    /// switch, also if a host dies.
    pub(crate) fn swap_and_rewind(&mut self, job: &str, either: [&str; 2]) -> anyhow::Result<()> {
        let runs = self.module(job)?;
        let module = either.into_iter().find(|module| *module != runs).unwrap_or(either[0]);
        let body = json!({"module": module, "probation": {"time": "60s"}, "way_back": "rewind"});
        self.take_back_at(job, &body, "held", module)?;
        let left = self.module(job)?;
        ensure!(left == runs, "a swap to {module} that was rewound has left {left} in the place of {runs}");
        Ok(())
    }

    fn take_back_at(&mut self, job: &str, body: &Value, stage: &str, module: &str) -> anyhow::Result<()> {
        let operation = loop {
            if let Some(operation) = self.begin_swap(job, body)? {
                break operation;
            }
            self.in_time("a swap that is begun")?;
            std::thread::sleep(LOOK);
        };
        let id = id_of(&operation)?;
        loop {
            let (_, seen) = self.ask(&Method::GET, &format!("/v1/operations/{id}"), |request| request)?;
            if seen["status"] != "RUNNING" || seen["detail"]["stage"] == stage {
                break;
            }
            self.in_time(&format!("a swap on probation: {seen}"))?;
            std::thread::sleep(LOOK);
        }
        // Refused if there is nothing to be taken back any more.
        self.ask(&Method::POST, &format!("/v1/jobs/{job}/operators/{OPERATOR}/swap/rollback"), |request| request)?;
        self.swap_ends(job, &operation, module)
    }

    /// Lets the operator run in so many subtasks.
    pub(crate) fn rescale(&mut self, job: &str, subtasks: u64) -> anyhow::Result<()> {
        let body = json!({"operators": {OPERATOR: subtasks}});
        let path = format!("/v1/jobs/{job}/rescale");
        loop {
            let has = self.job(job)?["document"]["operators"][OPERATOR]["parallelism"].clone();
            if has == json!(subtasks) {
                return Ok(());
            }
            let (status, begun) = self.ask(&Method::POST, &path, |request| request.json(&body))?;
            match status {
                202 => drop(self.ended(&begun)?),
                // It runs so already, or the job is between two attempts.
                409 | 422 | 503 => {}
                _ => bail!("a rescale was answered {status}: {begun}"),
            }
            self.in_time(&format!("{subtasks} subtasks: {begun}"))?;
            std::thread::sleep(LOOK);
        }
    }

    /// Gives a key's state this value, again if a crash undoes it.
    pub(crate) fn edit(&mut self, job: &str, state: &str, key: &str, base64: &str) -> anyhow::Result<()> {
        let path = format!("/v1/jobs/{job}/operators/{OPERATOR}/state/{state}?key={key}");
        loop {
            let (status, begun) =
                self.ask(&Method::PUT, &path, |request| request.json(&json!({"value_base64": base64})))?;
            match status {
                202 if self.ended(&begun)?["status"] == "SUCCEEDED" => return Ok(()),
                // The host died, or the job is between two attempts.
                202 | 409 | 503 => {}
                _ => bail!("an edit was answered {status}: {begun}"),
            }
            self.in_time(&format!("an edit that lasts: {begun}"))?;
            std::thread::sleep(LOOK);
        }
    }

    /// The module that the job's document names.
    fn module(&mut self, job: &str) -> anyhow::Result<String> {
        let seen = self.job(job)?;
        let module = seen["document"]["operators"][OPERATOR]["module"].as_str();
        Ok(module.with_context(|| format!("no module in {seen}"))?.to_owned())
    }

    /// Asks for a swap; `None` if it has to be asked for later, or was made by a host that could not say so.
    fn begin_swap(&mut self, job: &str, body: &Value) -> anyhow::Result<Option<Value>> {
        let path = format!("/v1/jobs/{job}/operators/{OPERATOR}/swap");
        let (status, begun) = self.ask(&Method::POST, &path, |request| request.json(body))?;
        let says = |what: &str| begun["detail"].as_str().is_some_and(|detail| detail.contains(what));
        match status {
            202 => Ok(Some(begun)),
            // Between two attempts, or as busy with the end of the swap before.
            409 | 503 => Ok(None),
            422 if says("runs module") || says("is still being rewritten") => Ok(None),
            _ => bail!("a swap was answered {status}: {begun}"),
        }
    }

    /// Waits for the end of a swap. The job runs the new module if the operation says so, and only then.
    fn swap_ends(&mut self, job: &str, operation: &Value, module: &str) -> anyhow::Result<()> {
        let ended = self.ended(operation)?;
        let (status, runs) = (ended["status"].clone(), self.module(job)?);
        let is_done = status == "SUCCEEDED";
        ensure!((runs == module) == is_done, "the swap to {module} {status}, and the job runs {runs}: {ended}");
        let stage = ended["detail"]["stage"].as_str();
        ensure!(!matches!(stage, Some("probation" | "switched")), "a swap by halves: {ended}");
        Ok(())
    }

    /// An operation, once it is over.
    fn ended(&mut self, begun: &Value) -> anyhow::Result<Value> {
        let id = id_of(begun)?;
        loop {
            let (_, seen) = self.ask(&Method::GET, &format!("/v1/operations/{id}"), |request| request)?;
            if seen["status"] != "RUNNING" {
                return Ok(seen);
            }
            self.in_time(&format!("an end of operation {seen}"))?;
            std::thread::sleep(LOOK);
        }
    }
}

fn id_of(operation: &Value) -> anyhow::Result<String> {
    let id = operation["id"].as_str().with_context(|| format!("an operation without a name: {operation}"))?;
    Ok(id.to_owned())
}
