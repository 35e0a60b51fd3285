//! Shadows and canaries, asked for over the deaths of hosts.

use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};

use crate::swaps::OPERATOR;
use crate::world::{LOOK, World};

/// What may be answered while a host has just died, the job is between two attempts, or what was asked for is over.
const NOT_NOW: [u16; 4] = [404, 409, 422, 503];

impl World {
    /// Lets a module run as a shadow until it has made calls, if no host dies meanwhile: then nothing is left of it.
    pub(crate) fn shadow(
        &mut self,
        job: &str,
        module: &str,
        mut feed: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let path = format!("/v1/jobs/{job}/operators/{OPERATOR}/shadow");
        loop {
            let (status, begun) = self.ask(&Method::POST, &path, |request| request.json(&json!({"module": module})))?;
            match status {
                201 => break,
                _ if NOT_NOW.contains(&status) => {}
                _ => bail!("a shadow was answered {status}: {begun}"),
            }
            self.in_time(&format!("a shadow: {begun}"))?;
            std::thread::sleep(LOOK);
        }
        // What comes before the cut that it begins with is none of its calls.
        self.until_shadow(&path, |report| report["stage"] != "waiting")?;
        feed(self)?;
        self.until_shadow(&path, |report| report["events"].as_u64() > Some(0))?;
        self.ask(&Method::DELETE, &path, |request| request)?;
        Ok(())
    }

    /// Waits until a shadow is so far, or over.
    fn until_shadow(&mut self, path: &str, is_so_far: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        loop {
            let (status, report) = self.ask(&Method::GET, path, |request| request)?;
            if status == 404 || report["stage"] == "over" || is_so_far(&report) {
                return Ok(());
            }
            std::thread::sleep(LOOK);
            self.in_time(&format!("a shadow that is further than {report}"))?;
        }
    }

    /// Lets a module serve a share of the keys, from the next checkpoint on; again if a crash undoes it.
    pub(crate) fn canary(&mut self, job: &str, module: &str, share: u32) -> anyhow::Result<()> {
        let path = format!("/v1/jobs/{job}/operators/{OPERATOR}/canary");
        let body = json!({"module": module, "share": share, "probation": {"time": "0s"}});
        loop {
            if self.serves(job)? {
                return Ok(());
            }
            let (status, begun) = self.ask(&Method::POST, &path, |request| request.json(&body))?;
            if status != 202 && !NOT_NOW.contains(&status) {
                bail!("a canary was answered {status}: {begun}");
            }
            self.in_time(&format!("a canary: {begun}"))?;
            std::thread::sleep(LOOK);
        }
    }

    /// Lets a canary serve more; of one that a crash has ended there is nothing to widen.
    pub(crate) fn widen(&mut self, job: &str, share: u32) -> anyhow::Result<()> {
        let path = format!("/v1/jobs/{job}/operators/{OPERATOR}/canary");
        let body = json!({"share": share});
        loop {
            let (status, report) = self.ask(&Method::GET, &path, |request| request)?;
            if status == 404 || is_over(&report) {
                return Ok(());
            }
            if report["share"].as_u64() >= Some(u64::from(share)) && report["stage"] == "canary" {
                return Ok(());
            }
            self.ask(&Method::POST, &format!("{path}/widen"), |request| request.json(&body))?;
            self.in_time(&format!("a canary with {share} %: {report}"))?;
            std::thread::sleep(LOOK);
        }
    }

    /// Ends a canary in this way, `promote` or withdrawn.
    pub(crate) fn end_canary(&mut self, job: &str, promote: bool) -> anyhow::Result<()> {
        let path = format!("/v1/jobs/{job}/operators/{OPERATOR}/canary");
        loop {
            let (status, report) = self.ask(&Method::GET, &path, |request| request)?;
            if status == 404 || is_over(&report) {
                return Ok(());
            }
            // Whatever is answered: it is looked at again.
            match promote {
                true => self.ask(&Method::POST, &format!("{path}/promote"), |request| request)?,
                false => self.ask(&Method::DELETE, &path, |request| request)?,
            };
            self.in_time(&format!("an end of a canary: {report}"))?;
            std::thread::sleep(LOOK);
        }
    }

    fn serves(&mut self, job: &str) -> anyhow::Result<bool> {
        let path = format!("/v1/jobs/{job}/operators/{OPERATOR}/canary");
        let (status, report) = self.ask(&Method::GET, &path, |request| request)?;
        Ok(status == 200 && report["stage"] == "canary")
    }
}

fn is_over(report: &Value) -> bool {
    report["stage"] == "done" || report["stage"] == "undone"
}
