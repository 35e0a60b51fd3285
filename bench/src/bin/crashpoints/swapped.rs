//! The scenario of swaps: an operator that counts has a shadow and canaries, goes to another schema and back, is rescaled, and
//! has a count edited.

use std::time::Duration;

use serde_json::json;

use crate::course::{Course, guest, restart};
use crate::outcome::Outcome;
use crate::swaps::OPERATOR;
use crate::world::World;

const JOB: &str = "swapped";
/// Both emit the same; each rewrites what the other has written.
const TALLY: &str = "tests/guests/target/modules/tally.wasm";
const TALLY_TIMED: &str = "tests/guests/target/modules/tally-timed.wasm";
/// A custom section: with it a module is another one that does the same.
const OTHER_BYTES: &[u8] = &[0, 6, 5, b'o', b't', b'h', b'e', b'r'];

/// Posts, and lines in each; so many keys that the background has something left to rewrite.
const POSTS: u64 = 60;
const LINES: u64 = 50;
const KEYS: u64 = 700;

/// A key that no event has before its count is edited.
const EDITED: &str = "edited";
/// 41, as both modules keep a count: eight bytes, the lowest first.
const EDITED_TO: &str = "KQAAAAAAAAA=";

fn lines(post: u64) -> String {
    let line = |number: u64| format!(r#"{{"key":"key-{}"}}"#, number * number % KEYS);
    (post * LINES..(post + 1) * LINES).map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn swapped(world: &mut World, course: Course) -> anyhow::Result<Outcome> {
    let document = json!({
        "version": 1, "job": JOB, "restart": restart(),
        "checkpoint": {"every": "100ms", "backend": "rocksdb", "memory": "1MiB", "keep": 2},
        "sources": {"events": {"from": {"http": {}}, "decode": "json"}},
        "operators": {
            OPERATOR: {"module": "tally@1", "inputs": {"in": {"from": "events", "key_by": "$.key"}}, "parallelism": 2},
        },
        "sinks": {"counts": {"inputs": [OPERATOR], "to": {"file": {
            "path": "out/counts.csv", "encode": {"csv": {"columns": {"key": "$key", "n": "$"}}},
        }}}},
    });
    world.push("tally", &guest(TALLY)?)?;
    world.push("tally-again", &[&guest(TALLY)?[..], OTHER_BYTES].concat())?;
    world.push("tally-timed", &guest(TALLY_TIMED)?)?;
    world.submit(&document)?;
    for post in 0..POSTS {
        match (course, post) {
            (Course::Rough, 4) => {
                let feed = |world: &mut World| world.feed(JOB, &format!("post-{post}"), &lines(post));
                world.shadow(JOB, "tally-again@1", feed)?;
            }
            (Course::Rough, 7) => world.canary(JOB, "tally-again@1", 25)?,
            (Course::Rough, 9) => world.end_canary(JOB, false)?,
            (Course::Rough, 11) => world.canary(JOB, "tally-again@1", 25)?,
            (Course::Rough, 13) => world.kill()?,
            (Course::Rough, 15) => world.widen(JOB, 50)?,
            (Course::Rough, 17) => world.end_canary(JOB, true)?,
            (Course::Rough, 20) => world.swap_in(JOB, "tally-timed@1")?,
            (Course::Rough, 25) => world.kill()?,
            (Course::Rough, 30) => world.swap_and_take_back(JOB, "tally@1")?,
            (Course::Rough, 38) => world.rescale(JOB, 3)?,
            (Course::Rough, 44) => world.swap_and_rewind(JOB, ["tally@1", "tally-timed@1"])?,
            (Course::Rough, 50) => world.swap_held_in(JOB, "tally@1")?,
            (Course::Smooth | Course::Rough, _) => {}
        }
        world.feed(JOB, &format!("post-{post}"), &lines(post))?;
        std::thread::sleep(Duration::from_millis(8));
    }
    world.edit(JOB, "counts", EDITED, EDITED_TO)?;
    world.feed(JOB, "last", &format!(r#"{{"key":"{EDITED}"}}"#))?;
    world.until_written(JOB, POSTS * LINES + 1)?;
    world.done(JOB, "stop", &json!({}))?;
    world.until_state(JOB, "STOPPED")?;
    let mut outcome = Outcome::default();
    outcome.add_folder(world.folder(), "out")?;
    outcome.add("dead letters", &world.letters(JOB)?.join("\n"));
    Ok(outcome)
}
