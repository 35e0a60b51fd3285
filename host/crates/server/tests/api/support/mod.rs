//! A host in memory, and a client of it.

mod catalog;
mod parts;
mod registry;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use gristmill_ports::catalog::{Catalog, JobState};
use gristmill_ports::clock::ManualClock;
use gristmill_server::control::{Control, ControlParts};
use gristmill_server::{ServerOptions, router};
use gristmill_state::EntryReader;
use serde_json::Value;
use tokio_stream::StreamExt;
use tower::ServiceExt;

pub(crate) use catalog::MemoryCatalog;
pub(crate) use parts::MemoryParts;
pub(crate) use registry::{FakeRegistry, KEEPS, WASM, wasm};

/// A job with one `http` source, one operator and one sink.
pub(crate) const JOB: &str = "
version: 1
job: orders
sources:
  in: {from: {http: {}}}
operators:
  pass:
    module: pass@1
    inputs: {in: {from: in}}
sinks:
  out: {inputs: [pass], to: {blackhole: {}}}
";

/// A job whose operator keeps what it sees: the last value, all values, and how they are called.
pub(crate) const KEEPING: &str = "
version: 1
job: keeping
sources:
  in: {from: {http: {}}}
operators:
  keep:
    module: keep@1
    parallelism: 2
    inputs: {in: {from: in, key_by: $.k}}
sinks:
  out: {inputs: [keep], to: {blackhole: {}}}
";

/// A host.
pub(crate) struct Host {
    pub(crate) catalog: Arc<MemoryCatalog>,
    pub(crate) registry: Arc<FakeRegistry>,
    pub(crate) parts: Arc<MemoryParts>,
    pub(crate) control: Arc<Control>,
    router: Router,
}

impl Host {
    pub(crate) async fn new() -> Self {
        Self::with(&ServerOptions::default()).await
    }

    pub(crate) async fn with(options: &ServerOptions) -> Self {
        let (catalog, clock) = (Arc::<MemoryCatalog>::default(), clock());
        let parts = MemoryParts::new(Arc::clone(&catalog), Arc::clone(&clock));
        Self::over(catalog, clock, parts, options).await
    }

    /// A host that finds what this one has left: its catalog and its checkpoints.
    pub(crate) async fn after(&self) -> Self {
        let (catalog, clock) = (Arc::clone(&self.catalog), clock());
        let parts = self.parts.after(Arc::clone(&catalog), Arc::clone(&clock));
        Self::over(catalog, clock, parts, &ServerOptions::default()).await
    }

    async fn over(
        catalog: Arc<MemoryCatalog>,
        clock: Arc<ManualClock>,
        parts: MemoryParts,
        options: &ServerOptions,
    ) -> Self {
        let registry = Arc::new(FakeRegistry::default());
        let parts = Arc::new(parts);
        let (for_jobs, for_people, for_runs) = (Arc::clone(&parts), Arc::clone(&parts), Arc::clone(&parts));
        let control = Control::new(ControlParts {
            catalog: Arc::clone(&catalog) as _,
            registry: Arc::clone(&registry) as _,
            dead_letters: Arc::clone(&catalog) as _,
            crashes: Arc::new(gristmill_ports::crash::NoCrashes),
            audit: Arc::clone(&catalog) as _,
            ingress: Arc::clone(&parts) as _,
            checkpoints: Arc::clone(&parts.checkpoints) as _,
            open_savepoint: Arc::new(move |folder| for_people.look_at(folder)),
            open_run: Arc::new(move |job, run| for_runs.look_at_run(job, run)),
            state_reader: Arc::new(EntryReader),
            forget_job: Arc::new(|_| Ok(())),
            clock,
            base: "/srv/jobs".to_owned(),
            parts_for: Arc::new(move |_| Arc::clone(&for_jobs) as _),
            environment: Arc::new(|name| (name == "SECRET").then(|| "hunter2".to_owned())),
        });
        control.restore().await.unwrap();
        let router = router(Arc::clone(&control), options);
        Self { catalog, registry, parts, control, router }
    }

    /// A host on which the module `pass@1` is.
    pub(crate) async fn with_module() -> Self {
        let host = Self::new().await;
        host.post("/v1/modules?name=pass@1", WASM).await.expect(StatusCode::CREATED);
        host
    }

    /// A host on which the job `orders` runs.
    pub(crate) async fn with_job() -> Self {
        let host = Self::with_module().await;
        host.post("/v1/jobs", JOB).await.expect(StatusCode::CREATED);
        host
    }

    /// A host on which the job `keeping` runs.
    pub(crate) async fn that_keeps() -> Self {
        let host = Self::new().await;
        host.post("/v1/modules?name=keep@1", KEEPS).await.expect(StatusCode::CREATED);
        host.post("/v1/jobs", KEEPING).await.expect(StatusCode::CREATED);
        host
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.ask(Method::PUT, path, &[], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.ask(Method::POST, path, &[], body).await
    }

    pub(crate) async fn post_as(&self, path: &str, media_type: &str, body: impl Into<Body>) -> Answer {
        self.ask(Method::POST, path, &[("content-type", media_type)], body).await
    }

    /// Posts with an idempotency key.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: impl Into<Body>) -> Answer {
        self.ask(Method::POST, path, &[("idempotency-key", key)], body).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let is_stream = parts.headers.get("content-type").is_some_and(|media_type| media_type == "text/event-stream");
        let (bytes, stream) = if is_stream {
            (Bytes::new(), Some(body.into_data_stream()))
        } else {
            (axum::body::to_bytes(body, usize::MAX).await.unwrap(), None)
        };
        Answer { status: parts.status, headers: parts.headers, bytes, stream }
    }

    /// Waits until a job's state stands in the catalog.
    pub(crate) async fn until_recorded(&self, job: &str, state: JobState) {
        let job = job.parse().unwrap();
        for _ in 0..1000 {
            if self.catalog.job(&job).unwrap().is_some_and(|record| record.state == state) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{job} never became {state}");
    }

    /// Waits for the operation of a 202 to end.
    pub(crate) async fn finished(&self, accepted: Answer) -> Value {
        let accepted = accepted.expect(StatusCode::ACCEPTED);
        let id = accepted["id"].as_str().unwrap();
        self.until(&format!("/v1/operations/{id}"), |operation| operation["status"] != "RUNNING").await
    }

    /// Asks again and again, for at most ten seconds, until the answer is as wanted. The runtime has no way to tell a
    /// client; a client polls.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1000 {
            let answer = self.get(path).await;
            if answer.status.is_success() && wanted(&answer.json()) {
                return answer.json();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} never became as wanted: {:?}", self.get(path).await);
    }
}

/// The time at which all hosts begin.
fn clock() -> Arc<ManualClock> {
    let clock = Arc::new(ManualClock::default());
    clock.advance(Duration::from_secs(1_700_000_000));
    clock
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    bytes: Bytes,
    /// The body of a live stream, which has no end yet.
    stream: Option<BodyDataStream>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// What comes of a live stream until some text has come; `None`: until it ends.
    pub(crate) async fn live_until(self, wanted: Option<&str>) -> String {
        let mut stream = self.stream.expect("a live stream");
        let mut text = String::new();
        while wanted.is_none_or(|wanted| !text.contains(wanted)) {
            let piece = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
            match piece.unwrap_or_else(|_| panic!("{wanted:?} never came: {text}")) {
                Some(piece) => text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap()),
                None => {
                    assert_eq!(wanted, None, "the stream ended before it came: {text}");
                    break;
                }
            }
        }
        text
    }

    /// The body as JSON if the status is as wanted.
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// Checks that it is a problem of this status and code, and gives it.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!((self.status.as_u16(), problem["code"].as_str().unwrap()), (status, code), "{problem:#}");
        assert_eq!(problem["status"], status);
        assert!(problem["type"].as_str().unwrap().starts_with("urn:gristmill:problem:"));
        for field in ["title", "detail"] {
            let sentence = problem[field].as_str().unwrap();
            assert!(!sentence.is_empty() && !sentence.ends_with('.'), "{field}: {sentence}");
        }
        problem
    }
}
