//! Makes up events: event `i` depends on the seed and `i` alone, whatever the parallelism.
//!
//! Subtask `s` of `n` makes the events `s`, `s + n`, `s + 2n` and so on. Columns are filled in bulk: an event is a copy
//! of a template and a few digits. A position is the number of the next event, so a generator goes on with the very
//! events that it would have made, even where the number of subtasks has changed.

mod digits;
mod draw;
mod template;
mod pace;
mod frontier;

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use gristmill_checkpoint::SplitPosition;
use gristmill_dataflow::document::{Decode, GeneratedValues, GeneratorSource, SourceSpec, Start};
use gristmill_ports::parts::PartContext;
use gristmill_ports::source::ReadBounds;
use gristmill_ports::{PortError, SourceBatch, SourceReader};
use gristmill_types::{Column, EventBatch, Parallelism, SubtaskIndex};
use tokio::runtime::Handle;

use crate::alarm::Alarm;
use crate::format::decoder::{Arrival, Decoder};

use super::start::leave_out_before;

use self::draw::Dice;
use self::frontier::Progress;
use self::pace::Pace;
use self::template::{SHORTEST_TEXT, Template};

/// Keys have eight digits.
const MOST_KEYS: u32 = 100_000_000;

/// The longest value: far more than any test wants, far less than a batch may hold.
const LONGEST_VALUE: u32 = 16 << 20;

/// Opens the generator of one subtask.
///
/// # Errors
/// `Fatal` for sizes that cannot be had, for paths that are none, and for positions that are not a generator's.
pub(crate) fn open(
    context: &PartContext,
    spec: &SourceSpec,
    generator: &GeneratorSource,
    resume: Option<&[SplitPosition]>,
    runtime: Handle,
) -> Result<Box<dyn SourceReader>, PortError> {
    check(context, spec, generator)?;
    let decoder = match Decoder::new(spec)? {
        Decoder::Raw => None,
        json @ Decoder::Json(_) => Some(json),
    };
    let first = first_event(spec, generator);
    let positions = resume.unwrap_or_default();
    let (progress, made) = Progress::resume(&context.node, positions, first, context.subtask, context.parallelism)?;
    let not_before = match spec.start {
        Start::EventTime(moment) if decoder.is_some() => Some(moment.0),
        Start::EventTime(_) | Start::Beginning | Start::Offset(_) => None,
    };
    Ok(Box::new(GeneratorReader {
        node: context.node.to_string(),
        template: Template::new(generator.values, generator.bytes as usize, progress.next, generator.start_time),
        dice: Dice::new(generator.seed, generator.keys.map_or(0, u32::from)),
        spec: generator.clone(),
        progress,
        subtask: context.subtask,
        parallelism: context.parallelism,
        step: u64::from(context.parallelism.get()),
        decoder,
        not_before,
        made,
        pace: None,
        opened: Instant::now(),
        alarm: Alarm::new(runtime),
        now_ms: 0,
    }))
}

/// The number of the first event that the source gives.
fn first_event(spec: &SourceSpec, generator: &GeneratorSource) -> u64 {
    match spec.start {
        Start::Beginning => 0,
        Start::Offset(events) => events,
        // Where the document says where the time stands, it is read from the values.
        Start::EventTime(_) if spec.event_time.is_some() => 0,
        // One event a millisecond.
        Start::EventTime(moment) => u64::try_from(i128::from(moment.0) - i128::from(generator.start_time)).unwrap_or(0),
    }
}

fn check(context: &PartContext, source: &SourceSpec, spec: &GeneratorSource) -> Result<(), PortError> {
    let refuse = |what: String| Err(PortError::fatal(format!("source `{}`: {what}", context.node)));
    if matches!(source.decode, Decode::Csv(_)) {
        return refuse("generated values are text or json; write `decode: json` or leave it out".to_owned());
    }
    if spec.keys.is_some_and(|keys| keys.get() > MOST_KEYS) {
        return refuse(format!("`keys` is more than {MOST_KEYS}, and keys have eight digits"));
    }
    let shortest = match spec.values {
        GeneratedValues::Text => SHORTEST_TEXT as u32,
        GeneratedValues::Json => 0,
    };
    if !(shortest..=LONGEST_VALUE).contains(&spec.bytes) {
        return refuse(format!("`bytes` is {}, but must be {shortest} to {LONGEST_VALUE}", spec.bytes));
    }
    Ok(())
}

struct GeneratorReader {
    node: String,
    spec: GeneratorSource,
    template: Template,
    dice: Dice,
    progress: Progress,
    subtask: SubtaskIndex,
    parallelism: Parallelism,
    /// From one event of this subtask to its next.
    step: u64,
    /// Reads the made-up values again, for jobs that say where time and key stand.
    decoder: Option<Decoder>,
    /// Events whose time lies before this are left out.
    not_before: Option<i64>,
    /// Below this number every event was made when the source opened.
    made: u64,
    /// Begins with the first poll.
    pace: Option<Pace>,
    opened: Instant,
    alarm: Alarm,
    now_ms: i64,
}

impl SourceReader for GeneratorReader {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        bounds: ReadBounds,
    ) -> Poll<Result<Option<SourceBatch>, PortError>> {
        self.now_ms = bounds.now_ms;
        let end = self.spec.events.unwrap_or(u64::MAX);
        if self.progress.next >= end {
            return Poll::Ready(Ok(None));
        }
        let until = end.min(self.due_until());
        if self.progress.next >= until {
            let wait = self.wait().max(Duration::from_millis(1));
            self.alarm.wake_after(wait, context.waker());
            return Poll::Pending;
        }
        let row_bytes = self.template.width() + 24;
        let rows = bounds.max_rows.min(bounds.max_bytes / row_bytes).max(1);
        let rows = (until - self.progress.next).div_ceil(self.step).min(rows as u64) as usize;
        let events = self.generate(rows, until);
        let batch = self.decoded(events);
        if batch.events.is_empty() && batch.undecodable.is_empty() {
            // All of them lie before the start: control has its turn, then more are made.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(Some(batch)))
    }

    fn positions(&self) -> Vec<SplitPosition> {
        vec![self.progress.encode(self.subtask, self.parallelism)]
    }

    fn decode_again(&mut self, raw: &[u8], origin: &str) -> SourceBatch {
        let mut batch = SourceBatch::default();
        let arrival = Arrival { value: raw, raw, timestamp: self.now_ms, key: None };
        self.decoder.as_mut().unwrap_or(&mut Decoder::Raw).decode(arrival, || origin.to_owned(), &mut batch);
        batch
    }
}

impl GeneratorReader {
    /// The first event that is not due yet.
    fn due_until(&mut self) -> u64 {
        let Some(rate) = self.spec.rate else { return u64::MAX };
        let (now, next) = (self.opened.elapsed(), self.progress.next);
        // All subtasks count from the same event, so that together they keep the rate.
        self.pace.get_or_insert_with(|| Pace::new(rate.get(), self.made, now)).due_until(next, now)
    }

    fn wait(&self) -> Duration {
        self.pace.as_ref().map_or(Duration::ZERO, |pace| pace.wait_for(self.progress.next, self.opened.elapsed()))
    }

    /// The next events below `until`: `rows`, or fewer where the width of values changes.
    fn generate(&mut self, rows: usize, until: u64) -> EventBatch {
        self.renew_template();
        let width = self.template.width();
        let mut timestamps = Vec::with_capacity(rows);
        let mut values = Vec::with_capacity(rows * width);
        let mut keys = Vec::with_capacity(if self.spec.keys.is_some() { rows * KEY_BYTES } else { 0 });
        for _ in 0..rows {
            let next = self.progress.next;
            if !self.template.covers(next) {
                self.renew_template();
                if self.template.width() != width {
                    break;
                }
            }
            // Events that were made by subtasks of another number are left out: so there may be fewer than `rows`.
            if next >= until {
                break;
            }
            let timestamp = self.spec.start_time.saturating_add_unsigned(next);
            let draw = self.dice.draw(next);
            self.template.write(next, timestamp, draw, &mut values);
            if self.spec.keys.is_some() {
                keys.extend_from_slice(&key_text(draw.key));
            }
            timestamps.push(timestamp);
            // Stops at the last number there is; `poll_next` ends the source there.
            self.progress.advance(self.step);
        }
        let keys = match self.spec.keys {
            Some(_) => Column::of_equal_widths(keys, KEY_BYTES),
            None => Column::all_null(timestamps.len()),
        };
        EventBatch::new(timestamps, keys, Column::of_equal_widths(values, width)).expect("one of each for each event")
    }

    fn renew_template(&mut self) {
        if !self.template.covers(self.progress.next) {
            let bytes = self.spec.bytes as usize;
            self.template = Template::new(self.spec.values, bytes, self.progress.next, self.spec.start_time);
        }
    }

    fn decoded(&mut self, events: EventBatch) -> SourceBatch {
        let Some(decoder) = &mut self.decoder else { return SourceBatch { events, undecodable: Vec::new() } };
        let events_read = EventBatch::with_capacity(events.len(), events.values().data().len());
        let mut batch = SourceBatch { events: events_read, undecodable: Vec::new() };
        for row in 0..events.len() {
            let value = events.values().bytes_of(row);
            let arrival =
                Arrival { value, raw: value, timestamp: events.timestamps()[row], key: events.keys().get(row) };
            decoder.decode(
                arrival,
                || format!("{}:{}", self.node, events.timestamps()[row].abs_diff(self.spec.start_time)),
                &mut batch,
            );
        }
        if let Some(start_ms) = self.not_before {
            leave_out_before(&mut batch.events, start_ms);
        }
        batch
    }
}

const KEY_BYTES: usize = 12;

#[inline]
fn key_text(key: u32) -> [u8; KEY_BYTES] {
    let [a, b, c, d, e, f, g, h] = digits::eight(key);
    [b'k', b'e', b'y', b'-', a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests;
