//! The jobs that are run, and what is done to them meanwhile.

use serde_json::json;

use crate::course::{Course, guest, restart};
use crate::outcome::Outcome;
use crate::postgres::{Postgres, Schema};
use crate::swapped::swapped;
use crate::world::World;

/// A job, from its submission to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// Made-up events, counted by key with more state than memory is allowed, into one file, many files and a table.
    Counted,
    /// Posted events, some of which are refused, counted by key in memory, into two files; a savepoint is taken beside.
    Posted,
    /// Posted events, counted by a module that is swapped and rescaled meanwhile, into a file.
    Swapped,
}

pub(crate) const ALL: [Scenario; 3] = [Scenario::Counted, Scenario::Posted, Scenario::Swapped];

/// So many made-up events of so many keys that their counts do not fit into memory.
const OF_MANY_KEYS: u64 = 40_000;
const MANY_KEYS: u64 = 60_000;
/// And some with so few keys that the order within each is put to the test.
const OF_FEW_KEYS: u64 = 4_000;
const FEW_KEYS: u64 = 40;
/// How long they take to come.
const SECONDS: u64 = 2;

/// Posts, and lines in each.
const POSTS: u64 = 120;
const LINES: u64 = 25;
/// One of so many lines is refused by the operator, and one by the source.
const POISON_EVERY: u64 = 40;
const TORN_EVERY: u64 = 60;

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Posted => "posted",
            Self::Swapped => "swapped",
        }
    }

    /// Runs the job to its end; gives what it has committed.
    ///
    /// # Errors
    /// If a host ends where it should not, the job fails, or something takes too long.
    pub(crate) fn run(self, world: &mut World, course: Course, server: &Postgres) -> anyhow::Result<Outcome> {
        match self {
            Self::Counted => counted(world, course, &server.schema()?),
            Self::Posted => posted(world, course),
            Self::Swapped => swapped(world, course),
        }
    }
}

const WORD_COUNT: &str = "guest-examples/target/modules/word-count.wasm";
const POISON_REJECT: &str = "tests/guests/target/modules/poison-reject.wasm";

fn counted(world: &mut World, course: Course, schema: &Schema) -> anyhow::Result<Outcome> {
    let made_up = |events: u64, keys: u64| {
        let generator = json!({"events": events, "rate": events / SECONDS, "keys": keys, "values": "json"});
        json!({"from": {"generator": generator}, "parallelism": 1})
    };
    let document = json!({
        "version": 1, "job": "counted", "parallelism": 2, "restart": restart(),
        "checkpoint": {"every": "100ms", "backend": "rocksdb", "memory": "1MiB", "keep": 2},
        "sources": {"many": made_up(OF_MANY_KEYS, MANY_KEYS), "few": made_up(OF_FEW_KEYS, FEW_KEYS)},
        "operators": {
            "count": {"module": "word-count@1", "inputs": {"in": {"from": ["many", "few"], "key_by": "$.key"}}},
        },
        "sinks": {
            "one": {"inputs": ["count"], "to": {"file": {"path": "one.jsonl"}}},
            "parts": {"inputs": ["count"], "to": {"file": {"path": "parts/rows-{part}.jsonl"}}, "parallelism": 2},
            "table": {"inputs": ["few"], "to": {"postgres": {
                "url": schema.url(), "table": schema.table(), "columns": {"key": "$.key", "seq": "$.seq"},
            }}},
        },
    });
    world.push("word-count", &guest(WORD_COUNT)?)?;
    world.submit(&document)?;
    if course == Course::Rough {
        // The counts into two sinks, and the few into the table: half of all.
        world.until_written("counted", (2 * OF_MANY_KEYS + 3 * OF_FEW_KEYS) / 2)?;
        world.kill()?;
    }
    world.until_state("counted", "FINISHED")?;
    let mut outcome = Outcome::default();
    outcome.add_file(world.folder(), "one.jsonl")?;
    outcome.add_folder(world.folder(), "parts")?;
    outcome.add("table", &schema.rows()?);
    Ok(outcome)
}

/// The lines of a post. Those of a key are numbered; some hold `poison`, some are torn.
fn lines(post: u64) -> String {
    let line = |number: u64| {
        let key = format!("key-{}", number % 37);
        let pad = if number.is_multiple_of(POISON_EVERY) { "poison" } else { "................................" };
        let whole = format!(r#"{{"key":"{key}","number":{number},"pad":"{pad}"}}"#);
        if number % TORN_EVERY == 7 { whole[..whole.len() / 2].to_owned() } else { whole }
    };
    (post * LINES..(post + 1) * LINES).map(line).collect::<Vec<_>>().join("\n")
}

fn posted(world: &mut World, course: Course) -> anyhow::Result<Outcome> {
    let document = json!({
        "version": 1, "job": "posted", "restart": restart(), "checkpoint": {"every": "100ms", "keep": 1},
        // So small that segments of the log are full and removed by and by.
        "sources": {"events": {"from": {"http": {"log": "64KiB"}}, "decode": "json"}},
        "operators": {
            "refuse": {"module": "poison-reject@1", "inputs": {"in": {"from": "events"}}},
            "count": {"module": "word-count@1", "inputs": {"in": {"from": "refuse", "key_by": "$.key"}}, "parallelism": 2},
        },
        "sinks": {
            "events-out": {"inputs": ["refuse"], "to": {"file": {"path": "out/events.jsonl"}}},
            "counts": {"inputs": ["count"], "to": {"file": {"path": "out/counts.jsonl"}}},
        },
    });
    world.push("word-count", &guest(WORD_COUNT)?)?;
    world.push("poison-reject", &guest(POISON_REJECT)?)?;
    world.submit(&document)?;
    for post in 0..POSTS {
        match (course, post) {
            (Course::Rough, 40) => world.kill()?,
            (Course::Rough, 55) => world.save("posted", "middle")?,
            (Course::Rough, 70) => world.done("posted", "dead-letters/replay", &json!({"all": true}))?,
            (Course::Rough, 90) => world.done("posted", "restart", &json!({}))?,
            (Course::Smooth | Course::Rough, _) => {}
        }
        world.feed("posted", &format!("post-{post}"), &lines(post))?;
        std::thread::sleep(std::time::Duration::from_millis(8));
    }
    let all = (0..POSTS).map(lines).collect::<Vec<_>>().join("\n");
    let fine = all.lines().filter(|line| line.ends_with('}') && !line.contains("poison")).count() as u64;
    world.until_written("posted", 2 * fine)?;
    world.done("posted", "stop", &json!({}))?;
    world.until_state("posted", "STOPPED")?;
    let mut outcome = Outcome::default();
    outcome.add_folder(world.folder(), "out")?;
    outcome.add("dead letters", &world.letters("posted")?.join("\n"));
    Ok(outcome)
}
