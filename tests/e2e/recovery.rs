//! Recovery: damaged checkpoints, storage that is gone, hosts that are stopped, rivals. Nothing lost, nothing twice
//! unless somebody accepts it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gristmill_checkpoint::{ChainEntry, Manifest, NodeSnapshot, framed};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::documents::{often, posted, through};
use crate::guests::{example, odd};
use crate::host::{Host, eventually, gristmill, text};
use crate::jobs::done;

/// What stands in storage of the only run of the job `job`.
struct Stored {
    run: PathBuf,
}

impl Stored {
    fn of(folder: &TempDir) -> Self {
        let mut runs = std::fs::read_dir(folder.path().join("data/checkpoints/jobs/job")).unwrap();
        Self { run: runs.next().unwrap().unwrap().path() }
    }

    /// The newest slot of the chain.
    fn newest_slot(&self) -> PathBuf {
        let slots = std::fs::read_dir(self.run.join("chain")).unwrap();
        slots.map(|slot| slot.unwrap().path()).max().unwrap()
    }

    /// The checkpoint in it.
    fn newest(&self) -> Manifest {
        match ChainEntry::decode(&std::fs::read(self.newest_slot()).unwrap()).unwrap() {
            ChainEntry::Checkpoint(manifest) => manifest,
            ChainEntry::Claim(claim) => panic!("no checkpoint, but {claim:?}"),
        }
    }

    /// The last state file that the newest checkpoint names.
    fn newest_state(&self) -> PathBuf {
        let page = |file| std::fs::read(self.run.join("files").join(format!("{file}"))).unwrap();
        let pages = self.newest().pages.into_iter().map(|named| NodeSnapshot::decode(&page(named.file)).unwrap());
        let last = pages.flat_map(|page| page.files().collect::<Vec<_>>()).last().expect("the operator has state");
        self.run.join("files").join(last.to_string())
    }
}

/// Flips one bit in the middle of a file.
fn flip_a_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0b100;
    std::fs::write(path, bytes).unwrap();
}

/// Makes a checkpoint of the job `job`, and waits for it.
fn checkpoint(host: &Host) {
    let answer = host.post("/v1/jobs/job/checkpoints").send().unwrap();
    assert_eq!(answer.status(), 202);
    let operation = done(host, &answer.json().unwrap());
    assert_eq!(operation["status"], "SUCCEEDED", "{operation}");
}

/// A killed host whose job counts the events of one key: three came, each with a checkpoint that was committed.
fn killed_after_three_checkpoints() -> TempDir {
    let host = Host::start();
    host.push(&example("word-count"), "word-count@1");
    let mut document = through("word-count@1", "job", &posted());
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    document["checkpoint"] = json!({"every": "never"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    for number in 1..=3 {
        host.feed("job", "{\"word\":\"a\"}");
        host.wait_until("job", "events_written", number);
        checkpoint(&host);
    }
    eventually("the third is committed", || (host.lines("job.out") == ["a 1", "a 2", "a 3"]).then_some(()));
    host.kill()
}

/// Starts a host on what is left; gives why the job did not go on.
fn refused(folder: TempDir) -> (Host, String) {
    let host = Host::start_in(folder, &[]);
    let cause = host.wait_for("job", "FAILED")["cause"].as_str().unwrap().to_owned();
    host.assert_up();
    assert_eq!(host.lines("job.out"), ["a 1", "a 2", "a 3"], "nothing is repeated unasked");
    (host, cause)
}

/// Accepts the second checkpoint: the third event is read and counted once more. The file is cut back to where that
/// checkpoint left it, so that even then it holds nothing twice.
fn goes_on_once_accepted(host: &Host) {
    host.cli_ok(&["job", "restart", "job", "--accept", "2"]);
    host.wait_for("job", "RUNNING");
    host.feed("job", "{\"word\":\"a\"}");
    host.stop("job");
    assert_eq!(host.lines("job.out"), ["a 1", "a 2", "a 3", "a 4"]);
}

#[test]
fn a_bit_flip_in_the_newest_checkpoint_is_named_and_nothing_goes_on_unasked() {
    let folder = killed_after_three_checkpoints();
    let slot = Stored::of(&folder).newest_slot();
    flip_a_bit(&slot);
    let (host, cause) = refused(folder);
    let number = slot.file_name().unwrap().to_str().unwrap();
    let name = format!("checkpoint in slot {number}, whose record is `{}`, cannot be used", slot.display());
    assert!(cause.contains(&name) && cause.contains("a bit has flipped"), "{cause}");
    assert!(cause.contains("gristmill job restart job --accept 2"), "{cause}");
    goes_on_once_accepted(&host);
}

#[test]
fn a_newest_checkpoint_that_is_gone_is_missed_and_nothing_goes_on_unasked() {
    let folder = killed_after_three_checkpoints();
    std::fs::remove_file(Stored::of(&folder).newest_slot()).unwrap();
    let (host, cause) = refused(folder);
    assert!(cause.contains("checkpoint 3") && cause.contains("its record is gone"), "{cause}");
    goes_on_once_accepted(&host);
}

#[test]
fn a_bit_flip_in_a_state_file_is_named_and_nothing_goes_on_unasked() {
    let folder = killed_after_three_checkpoints();
    let state = Stored::of(&folder).newest_state();
    flip_a_bit(&state);
    let (host, cause) = refused(folder);
    let name = state.file_name().unwrap().to_str().unwrap();
    assert!(cause.contains("of the state of `it`") && cause.contains(name), "{cause}");
    assert!(cause.contains("is damaged") && cause.contains("job restart job --accept 2"), "{cause}");
    goes_on_once_accepted(&host);
}

#[test]
fn a_checkpoint_of_a_newer_host_is_left_to_a_newer_host() {
    let folder = killed_after_three_checkpoints();
    let stored = Stored::of(&folder);
    let newer = framed::encode(*b"GMCK", u16::MAX, &ChainEntry::Checkpoint(stored.newest()));
    std::fs::write(stored.newest_slot(), &newer).unwrap();
    let (host, cause) = refused(folder);
    assert!(cause.contains("format version 65535") && cause.contains("start a host that knows it"), "{cause}");
    assert_eq!(std::fs::read(stored.newest_slot()).unwrap(), newer, "what it cannot read it leaves alone");
    drop(host);
}

fn lines(numbers: Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

/// A host with a job that copies what is posted, with a checkpoint every moment.
fn copying(arguments: &[&str], output: Option<&Path>) -> Host {
    let host = Host::start_with(arguments);
    host.push(&odd("echo"), "echo@1");
    let mut document = often(through("echo@1", "job", &posted()));
    if let Some(output) = output {
        document["sinks"]["out"]["to"]["file"]["path"] = output.to_str().unwrap().into();
    }
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host
}

/// Two hosts on one storage, with a job whose output goes into one file.
struct Rivals {
    shared: TempDir,
}

impl Rivals {
    fn new() -> Self {
        Self { shared: tempfile::tempdir().unwrap() }
    }

    fn storage(&self) -> String {
        self.shared.path().join("checkpoints").to_str().unwrap().to_owned()
    }

    fn output(&self) -> PathBuf {
        self.shared.path().join("out")
    }

    fn committed(&self) -> Vec<String> {
        std::fs::read_to_string(self.output()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Has the job taken over from a host that is held: its disk is copied to another, as of a machine thought dead.
    fn overtake(&self, held: &Host) -> Host {
        let copy = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-r").arg(held.path("data")).arg(copy.path()).status().unwrap();
        assert!(copied.success());
        let owner = Host::start_in(copy, &["--checkpoints", &self.storage()]);
        owner.wait_for("job", "RUNNING");
        owner
    }
}

#[test]
fn of_two_hosts_on_one_storage_the_one_that_was_overtaken_says_so_and_gives_up() {
    let rivals = Rivals::new();
    let overtaken = copying(&["--checkpoints", &rivals.storage()], Some(&rivals.output()));
    overtaken.feed("job", &lines(0..500).join("\n"));
    eventually("the first half is committed", || (rivals.committed().len() == 500).then_some(()));
    overtaken.hold();
    let owner = rivals.overtake(&overtaken);
    overtaken.let_go();
    let cause = overtaken.wait_for("job", "FAILED")["cause"].as_str().unwrap().to_owned();
    assert!(cause.contains("has taken the job over"), "{cause}");
    overtaken.assert_up();
    owner.feed("job", &lines(500..1000).join("\n"));
    owner.stop("job");
    assert_eq!(rivals.committed(), lines(0..1000), "once, and in order");
}

#[test]
fn what_an_overtaken_host_was_about_to_commit_is_committed_once_by_its_successor() {
    let rivals = Rivals::new();
    let overtaken = copying(&["--checkpoints", &rivals.storage()], Some(&rivals.output()));
    overtaken.feed("job", &lines(0..500).join("\n"));
    overtaken.wait_until("job", "events_read", 1);
    overtaken.hold();
    let owner = rivals.overtake(&overtaken);
    overtaken.let_go();
    let cause = overtaken.wait_for("job", "FAILED")["cause"].as_str().unwrap().to_owned();
    assert!(cause.contains("taken the job over"), "{cause}");
    overtaken.assert_up();
    owner.feed("job", &lines(500..1000).join("\n"));
    owner.stop("job");
    assert_eq!(rivals.committed(), lines(0..1000), "once, and in order");
}

/// Takes the storage of checkpoints away from a running host, as a mount that is gone.
fn take_storage(host: &Host) {
    std::fs::rename(host.path("data/checkpoints"), host.path("away")).unwrap();
}

/// Gives it back.
fn give_storage_back(folder: &Path) {
    std::fs::rename(folder.join("away"), folder.join("data/checkpoints")).unwrap();
}

#[test]
fn checkpoint_storage_that_was_gone_for_a_while_costs_nothing_but_time() {
    let host = copying(&[], None);
    host.feed("job", &lines(0..500).join("\n"));
    host.wait_until("job", "events_written", 500);
    take_storage(&host);
    host.feed("job", &lines(500..1000).join("\n"));
    host.wait_until("job", "events_read", 1000);
    eventually("a checkpoint waits for its storage", || host.log().contains("storing is tried again").then_some(()));
    give_storage_back(host.folder.path());
    eventually("all is committed", || (host.lines("job.out").len() == 1000).then_some(()));
    let job = host.stop("job");
    assert_eq!(host.lines("job.out"), lines(0..1000));
    assert_eq!(job["dead_letters"], 0);
}

#[test]
fn a_host_that_is_asked_to_end_twice_ends_at_once_and_goes_on_from_its_newest_checkpoint() {
    let mut host = copying(&[], None);
    host.feed("job", &lines(0..500).join("\n"));
    eventually("the first half is committed", || (host.lines("job.out").len() == 500).then_some(()));
    // Without storage there is no last checkpoint: the host would wait for it for long.
    take_storage(&host);
    host.feed("job", &lines(500..1000).join("\n"));
    eventually("a checkpoint waits for its storage", || host.log().contains("storing is tried again").then_some(()));
    host.signal("TERM");
    eventually("the host says that it goes down", || host.log().contains("once more ends at once").then_some(()));
    assert!(host.terminate().success());
    assert!(host.log().contains("ending at once"), "{}", host.log());

    let folder = host.kill();
    give_storage_back(folder.path());
    let host = Host::start_in(folder, &[]);
    host.wait_for("job", "RUNNING");
    host.feed("job", &lines(1000..1500).join("\n"));
    host.stop("job");
    assert_eq!(host.lines("job.out"), lines(0..1500));
}

#[test]
fn a_host_that_was_held_for_a_while_punishes_no_event_for_it() {
    let host = Host::start();
    host.push(&odd("slow"), "slow@1");
    let mut document = often(through("slow@1", "job", &posted()));
    document["operators"]["it"]["parameters"] = json!({"rounds": 100_000});
    document["operators"]["it"]["limits"] = json!({"call": "1s"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host.feed("job", &lines(0..2000).join("\n"));
    host.wait_until("job", "events_read", 1);
    host.hold();
    // Not to synchronise: longer than any call may take.
    std::thread::sleep(Duration::from_secs(2));
    host.let_go();
    host.stop("job");
    assert_eq!(host.letters("job"), Vec::<Value>::new());
    assert_eq!(host.lines("job.out"), lines(0..2000));
}

#[test]
fn a_guest_that_traps_again_in_the_replay_writes_its_letters_once() {
    let host = Host::start();
    host.push(&odd("poison-trap"), "poison@1");
    let mut document = through("poison@1", "job", &posted());
    document["checkpoint"] = json!({"every": "never"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host.feed("job", "one\npoison decided\n");
    host.wait_until("job", "dead_letters", 1);
    checkpoint(&host);
    host.feed("job", "two\npoison replayed\nthree\n");
    host.wait_until("job", "dead_letters", 2);

    let host = host.kill_and_restart();
    host.wait_until("job", "dead_letters", 2);
    host.stop("job");
    let letters = host.letters("job");
    let values: Vec<_> = letters.iter().map(|letter| letter["value"]["text"].as_str().unwrap()).collect();
    assert_eq!(values, ["poison decided", "poison replayed"]);
    assert!(letters.iter().all(|letter| letter["decided"] == true && letter["kind"] == "trap"), "{letters:?}");
    assert_eq!(host.lines("job.out"), ["one", "two", "three"]);
}

#[test]
fn a_host_that_comes_back_without_its_checkpoint_storage_leaves_committed_output_as_it_is() {
    let host = copying(&[], None);
    host.feed("job", &lines(0..500).join("\n"));
    eventually("all is committed", || (host.lines("job.out").len() == 500).then_some(()));
    let folder = host.kill();
    let (storage, away) = (folder.path().join("data/checkpoints"), folder.path().join("away"));
    std::fs::rename(&storage, &away).unwrap();
    let mut serve = gristmill();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path().join("data"));
    let refused = text(&serve.output().unwrap().stderr);
    assert!(refused.contains("data/checkpoints") && refused.contains("`job`: mount it"), "{refused}");
    assert!(!storage.exists(), "an empty folder would hide that it is gone");
    // As the place of a mount is while nothing is mounted there.
    std::fs::create_dir(&storage).unwrap();
    let host = Host::start_in(folder, &[]);
    let cause = eventually("it waits for its storage", || {
        let job = host.json("/v1/jobs/job");
        (job["state"] == "RESTARTING").then(|| job["cause"].as_str().map(str::to_owned))?
    });
    assert!(cause.contains("data/checkpoints") && cause.contains("is it mounted?"), "{cause}");
    assert_eq!(host.lines("job.out"), lines(0..500));
    std::fs::remove_dir_all(&storage).unwrap();
    std::fs::rename(&away, &storage).unwrap();
    host.wait_for("job", "RUNNING");
    host.feed("job", &lines(500..600).join("\n"));
    eventually("it goes on where it was", || (host.lines("job.out").len() == 600).then_some(()));
    assert_eq!(host.lines("job.out"), lines(0..600));
}
