//! Real flights through a Wasm operator, against an outside tool.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::guests::{example, root};
use crate::host::{gristmill, text};

/// The last line of each carrier or route: its answer.
fn latest(path: &Path, name: &str) -> BTreeMap<String, Value> {
    let lines = std::fs::read_to_string(path).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line[name].as_str().unwrap().to_owned(), line)).collect()
}

fn in_minutes(line: &Value) -> String {
    format!("{:.1}", line["mean_delay"].as_f64().unwrap())
}

fn ten_worst(routes: &BTreeMap<String, Value>) -> Vec<Value> {
    let mean = |line: &Value| line["mean_delay"].as_f64();
    let mut routes: Vec<_> = routes.iter().filter(|(_, line)| mean(line).is_some()).collect();
    // Stable: routes of equal means stay in the order of their names.
    routes.sort_by(|(_, left), (_, right)| mean(right).partial_cmp(&mean(left)).unwrap_or(Ordering::Equal));
    routes.iter().take(10).map(|(route, line)| json!([route, in_minutes(line)])).collect()
}

#[test]
fn delays_by_carrier_and_route_equal_those_of_an_outside_tool() {
    example("delay-stats");
    let folder = tempfile::tempdir().unwrap();
    let example = root().join("guest-examples/delay-stats");
    let document = std::fs::read_to_string(example.join("job.yaml")).unwrap();
    // The example's document, but for where its results go; the others of its paths begin at its own folder.
    let elsewhere = |text: &str| {
        let text = text.replace("../target/delay-stats", folder.path().to_str().unwrap());
        text.replace("../../", &format!("{}/", root().display()))
            .replace("../target", example.join("../target").to_str().unwrap())
    };
    std::fs::write(folder.path().join("job.yaml"), elsewhere(&document)).unwrap();
    let run = gristmill().args(["run", "job.yaml"]).current_dir(folder.path()).output().unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));

    let oracle = Command::new("python3")
        .arg(root().join("tests/e2e/flights_oracle.py"))
        .arg(root().join("tests/fixtures/flights-2013-01.csv.gz"))
        .arg("100")
        .output()
        .unwrap();
    assert!(oracle.status.success(), "{}", text(&oracle.stderr));
    let oracle: Value = serde_json::from_slice(&oracle.stdout).unwrap();

    let carriers = latest(&folder.path().join("carriers.jsonl"), "carrier");
    let carriers: BTreeMap<_, _> =
        carriers.iter().map(|(code, line)| (code, json!([line["flights"], in_minutes(line)]))).collect();
    assert_eq!(json!(carriers), oracle["carriers"]);
    assert_eq!(carriers.values().map(|carrier| carrier[0].as_u64().unwrap()).sum::<u64>(), 27_004);
    let worst = ten_worst(&latest(&folder.path().join("routes.jsonl"), "route"));
    assert_eq!((worst.len(), json!(worst)), (10, oracle["worst_routes"].clone()));
}
