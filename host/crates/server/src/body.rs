//! Request bodies are taken in here and nowhere else: bounded one by one, bounded all together, and never waited for
//! without end.
//!
//! A body that says that it is too large is refused before a byte of it is read; one that does not say is cut off where
//! it grows too large. What the client goes on sending is thrown away for a while, so that it gets to read the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gristmill_dataflow::quantity;
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;

use crate::options::ServerOptions;
use crate::problem::{Code, Refused};

/// Bytes for which one permit stands.
const GRAIN: u64 = 1024;
/// How long a refused client is listened to, so that it reads its answer before the connection closes.
const LINGER: Duration = Duration::from_secs(10);

/// Bounds of bodies, and the room that they share.
pub(crate) struct BodyBounds {
    max_module_bytes: u64,
    max_body_bytes: u64,
    idle: Duration,
    room: Semaphore,
}

impl BodyBounds {
    pub(crate) fn new(options: &ServerOptions) -> Arc<Self> {
        let largest = options.max_module_bytes.max(options.max_body_bytes);
        let room = options.max_bodies_bytes.max(largest).div_ceil(GRAIN);
        Arc::new(Self {
            max_module_bytes: options.max_module_bytes,
            max_body_bytes: options.max_body_bytes,
            idle: options.body_idle_timeout,
            room: Semaphore::new(usize::try_from(room).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)),
        })
    }

    fn limit(&self, request: &Request) -> Limit {
        if request.uri().path() == "/v1/modules" {
            Limit { bytes: self.max_module_bytes, hint: "start the host with a larger `--max-module`" }
        } else {
            Limit { bytes: self.max_body_bytes, hint: "send less in one request" }
        }
    }
}

/// How large one body may be.
#[derive(Clone, Copy)]
struct Limit {
    bytes: u64,
    /// What to do with a body that is larger.
    hint: &'static str,
}

impl Limit {
    fn exceeded(self, what: &str) -> Refused {
        let most = quantity::Bytes(self.bytes);
        Refused::new(Code::TooLarge, format!("{what}, at most {most} are taken here")).hint(self.hint)
    }
}

/// Middleware: handlers find the whole body in memory. The room that it takes is free again when they have answered.
pub(crate) async fn take_in(State(bounds): State<Arc<BodyBounds>>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return next.run(request).await;
    }
    let limit = bounds.limit(&request);
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    let (parts, body) = request.into_parts();
    let stream = body.into_data_stream();
    if let Some(declared) = declared.filter(|declared| *declared > limit.bytes) {
        linger(stream);
        return limit.exceeded(&format!("the body has {declared} bytes")).into_response();
    }
    let permits = u32::try_from(declared.unwrap_or(limit.bytes).div_ceil(GRAIN)).unwrap_or(u32::MAX);
    let _room = bounds.room.acquire_many(permits).await.expect("the semaphore is never closed");
    match read(stream, limit, declared, bounds.idle).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(problem) => problem.into_response(),
    }
}

async fn read(
    mut stream: BodyDataStream,
    limit: Limit,
    declared: Option<u64>,
    idle: Duration,
) -> Result<Bytes, Refused> {
    let mut taken = Vec::with_capacity(usize::try_from(declared.unwrap_or(0)).unwrap_or(0));
    loop {
        match tokio::time::timeout(idle, stream.next()).await {
            Ok(None) => return Ok(taken.into()),
            Ok(Some(Ok(piece))) if (taken.len() + piece.len()) as u64 > limit.bytes => {
                linger(stream);
                return Err(limit.exceeded("the body is longer"));
            }
            Ok(Some(Ok(piece))) => taken.extend_from_slice(&piece),
            Ok(Some(Err(error))) => {
                return Err(Refused::new(Code::BadRequest, format!("the body broke off: {error}")));
            }
            Err(_) => {
                let detail = format!("nothing of the body came for {} s", idle.as_secs_f32());
                return Err(Refused::new(Code::BodyTimeout, detail).hint("send it again"));
            }
        }
    }
}

/// Throws away what still comes.
fn linger(mut stream: BodyDataStream) {
    tokio::spawn(async move {
        let drained = async { while let Some(Ok(_)) = stream.next().await {} };
        // A client that is still sending by then is cut off.
        let _ = tokio::time::timeout(LINGER, drained).await;
    });
}
