//! Events posted to the host's REST API: the other end of [`Ingress`].
//!
//! A source is known by its job and its id for as long as one of its readers lives. Subtasks of one source share one
//! buffer. Knows nothing of requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use gristmill_dataflow::document::{HttpSource, SourceSpec};
use gristmill_ports::ingress::{Ingress, IngressAnswer};
use gristmill_ports::parts::PartContext;
use gristmill_ports::{PortError, SourceReader};
use gristmill_types::{JobId, NodeId};

use super::arriving::ArrivingReader;
use crate::arrivals::{Arrivals, Item, cost_of};
use crate::format::event_reader::EventReader;

/// The open `http` sources of a host.
#[derive(Default)]
pub(crate) struct OpenSources {
    sources: Mutex<HashMap<(JobId, NodeId), OpenSource>>,
}

struct OpenSource {
    arrivals: Arc<Arrivals>,
    buffer_bytes: usize,
    readers: usize,
}

impl OpenSources {
    fn lock(&self) -> MutexGuard<'_, HashMap<(JobId, NodeId), OpenSource>> {
        self.sources.lock().expect("nothing panics while it holds this lock")
    }
}

impl Ingress for OpenSources {
    fn offer(&self, job: &JobId, source: &NodeId, events: Vec<Vec<u8>>) -> IngressAnswer {
        let open =
            self.lock().get(&(job.clone(), source.clone())).map(|open| (Arc::clone(&open.arrivals), open.buffer_bytes));
        let Some((arrivals, buffer_bytes)) = open else { return IngressAnswer::NoSuchSource };
        let items: Vec<Item> = events.into_iter().map(Item::Event).collect();
        if cost_of(&items) > buffer_bytes {
            return IngressAnswer::TooLarge { buffer_bytes: buffer_bytes as u64 };
        }
        match arrivals.offer(items) {
            Ok(()) => IngressAnswer::Taken,
            Err(retry_after_ms) => IngressAnswer::Full { retry_after_ms },
        }
    }
}

/// Opens the reader of one subtask.
///
/// # Errors
/// `Fatal` for paths that are none.
pub(crate) fn open(
    context: &PartContext,
    spec: &SourceSpec,
    http: &HttpSource,
    sources: &Arc<OpenSources>,
) -> Result<Box<dyn SourceReader>, PortError> {
    let events = EventReader::new(spec)?;
    let id = (context.job.clone(), context.node.clone());
    let buffer_bytes = usize::try_from(http.buffer.as_u64()).unwrap_or(usize::MAX);
    let arrivals = {
        let mut sources = sources.lock();
        let open = sources.entry(id.clone()).or_insert_with(|| OpenSource {
            arrivals: Arc::new(Arrivals::new(buffer_bytes)),
            buffer_bytes,
            readers: 0,
        });
        open.readers += 1;
        Arc::clone(&open.arrivals)
    };
    Ok(Box::new(ArrivingReader {
        arrivals,
        events,
        from: context.node.to_string(),
        number: 0,
        now_ms: 0,
        _guard: Registration { sources: Arc::clone(sources), id },
    }))
}

/// Keeps a source known while its reader lives.
struct Registration {
    sources: Arc<OpenSources>,
    id: (JobId, NodeId),
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut sources = self.sources.lock();
        if let Some(open) = sources.get_mut(&self.id) {
            open.readers -= 1;
            if open.readers == 0 {
                sources.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::{Context, Poll, Wake, Waker};

    use gristmill_ports::Signal;
    use gristmill_ports::source::ReadBounds;
    use gristmill_types::{MaxParallelism, Parallelism, RunId, SubtaskIndex};

    use super::*;

    struct Bell(mpsc::Sender<()>);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.send(()).ok();
        }
    }

    fn open_source(sources: &Arc<OpenSources>, source: &str) -> Box<dyn SourceReader> {
        let context = PartContext {
            job: "job".parse().expect("an id"),
            run: RunId(1),
            node: "posted".parse().expect("an id"),
            subtask: SubtaskIndex(0),
            parallelism: Parallelism::ONE,
            max_parallelism: MaxParallelism::DEFAULT,
            cancelled: Signal::default(),
        };
        let spec: SourceSpec = serde_json::from_str(source).expect("a good source");
        let gristmill_dataflow::document::SourceKind::Http(http) = &spec.from else { panic!("an http source") };
        open(&context, &spec, http, sources).expect("it opens")
    }

    fn offer(sources: &OpenSources, events: &[&str]) -> IngressAnswer {
        let events = events.iter().map(|event| event.as_bytes().to_vec()).collect();
        sources.offer(&"job".parse().expect("an id"), &"posted".parse().expect("an id"), events)
    }

    const BOUNDS: ReadBounds = ReadBounds { max_rows: 100, max_bytes: 1000, now_ms: 9 };

    #[test]
    fn an_offer_wakes_the_reader_and_is_read() {
        let sources = Arc::new(OpenSources::default());
        let mut reader = open_source(&sources, r#"{"from": {"http": {}}, "decode": "json"}"#);
        let (bell, rung) = mpsc::channel();
        let waker = Waker::from(Arc::new(Bell(bell)));
        let mut context = Context::from_waker(&waker);
        assert!(reader.poll_next(&mut context, BOUNDS).is_pending());
        assert_eq!(offer(&sources, &["{\"a\":1}", "{"]), IngressAnswer::Taken);
        rung.try_recv().expect("woken");
        let Poll::Ready(Ok(Some(batch))) = reader.poll_next(&mut context, BOUNDS) else { panic!("two events") };
        assert_eq!((batch.events.timestamps(), batch.events.values().get(0)), (&[9][..], Some(&b"{\"a\":1}"[..])));
        assert_eq!(
            (batch.undecodable[0].origin.as_str(), batch.undecodable[0].raw.as_slice()),
            ("posted:2", &b"{"[..])
        );
    }

    #[test]
    fn a_full_buffer_takes_nothing_and_says_when_to_come_again() {
        let sources = Arc::new(OpenSources::default());
        let _reader = open_source(&sources, r#"{"from": {"http": {"buffer": "300B"}}}"#);
        assert_eq!(offer(&sources, &["a", "b", "c"]), IngressAnswer::Taken);
        assert!(matches!(offer(&sources, &["d", "e"]), IngressAnswer::Full { .. }));
        assert_eq!(offer(&sources, &[&"f".repeat(300)]), IngressAnswer::TooLarge { buffer_bytes: 300 });
    }

    #[test]
    fn a_source_is_known_while_a_reader_lives() {
        let sources = Arc::new(OpenSources::default());
        assert_eq!(offer(&sources, &["a"]), IngressAnswer::NoSuchSource);
        let readers = [(); 2].map(|()| open_source(&sources, r#"{"from": {"http": {}}}"#));
        let [first, second] = readers;
        drop(first);
        assert_eq!(offer(&sources, &["a"]), IngressAnswer::Taken);
        drop(second);
        assert_eq!(offer(&sources, &["a"]), IngressAnswer::NoSuchSource);
    }
}
