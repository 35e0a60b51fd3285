//! Live streams: server-sent events that end with the job, with the host, or when the client leaves.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use gristmill_runtime::{JobEvent, JobEventKind, JobStatus, TapEvent};
use serde_json::json;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::api_types::TapView;
use crate::control::{Control, LiveJob};
use crate::problem::Refused;

/// Something is sent this often, so that both sides notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events that wait for a slow client before the sender waits.
const WAITING: usize = 64;

/// The client's end of a stream; sending fails when it has left.
type ClientEnd = mpsc::Sender<Event>;
struct Left;

/// Answers with what `pump` sends, until it ends or the host closes.
fn stream<F>(control: &Control, pump: impl FnOnce(ClientEnd) -> F) -> Result<Response, Refused>
where
    F: Future<Output = Result<(), Left>> + Send + 'static,
{
    let place = control.stream_place()?;
    let mut closing = control.closing();
    let (client, sent) = mpsc::channel(WAITING);
    let gone = client.clone();
    let pump = pump(client);
    tokio::spawn(async move {
        tokio::select! {
            _ = pump => {}
            _ = closing.wait_for(|closing| *closing) => {}
            () = gone.closed() => {}
        }
        drop(place);
    });
    let events = ReceiverStream::new(sent).map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// What happened in a job and what goes on happening, from behind event number `after` on.
pub(crate) fn job_events(control: &Control, live: Arc<LiveJob>, after: Option<u64>) -> Result<Response, Refused> {
    stream(control, move |client| async move {
        let (recent, mut following) = live.handle().events();
        // The end of a job is the last that it says.
        let over = recent.iter().any(is_end);
        for event in recent.into_iter().filter(|event| after.is_none_or(|after| event.number > after)) {
            say(&client, &live, &event).await?;
        }
        if over {
            return Ok(());
        }
        loop {
            match following.recv().await {
                Ok(event) => {
                    say(&client, &live, &event).await?;
                    if is_end(&event) {
                        return Ok(());
                    }
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    let event = Event::default().event("missed").data(json!({"missed": missed}).to_string());
                    client.send(event).await.map_err(|_| Left)?;
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            }
        }
    })
}

fn is_end(event: &JobEvent) -> bool {
    matches!(&event.kind, JobEventKind::State { state, .. } if state.is_final())
}

/// A stream without events, of a job whose events are forgotten.
pub(crate) fn nothing(control: &Control) -> Result<Response, Refused> {
    stream(control, |_| async { Ok(()) })
}

async fn say(client: &ClientEnd, live: &LiveJob, event: &JobEvent) -> Result<(), Left> {
    let json = serde_json::to_value(event).expect("texts and numbers are JSON");
    let kind = json["kind"].as_str().expect("an event says of what kind it is");
    let data = live.hide_secrets(&json.to_string());
    let event = Event::default().id(event.number.to_string()).event(kind).data(data);
    client.send(event).await.map_err(|_| Left)
}

/// A live sample of events, until the job ends.
pub(crate) fn tap(
    control: &Control,
    live: Arc<LiveJob>,
    mut events: mpsc::Receiver<TapEvent>,
) -> Result<Response, Refused> {
    stream(control, move |client| async move {
        let ended = until_final(live.handle().watch());
        tokio::pin!(ended);
        loop {
            tokio::select! {
                biased;
                event = events.recv() => {
                    let Some(event) = event else { return Ok(()) };
                    let text = serde_json::to_string(&TapView::from(event)).expect("texts and numbers are JSON");
                    client.send(Event::default().event("event").data(text)).await.map_err(|_| Left)?;
                }
                () = &mut ended => return Ok(()),
            }
        }
    })
}

async fn until_final(mut status: watch::Receiver<JobStatus>) {
    // The sender goes only with the job.
    let _ = status.wait_for(|status| status.state.is_final()).await.map(drop);
}
