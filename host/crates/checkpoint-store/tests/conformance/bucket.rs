//! Object storage keeps the promises, and says what is wrong when it cannot.

use gristmill_checkpoint_store::ObjectStorage;
use gristmill_ports::checkpoint_store::{Content, PutNew};
use gristmill_ports::{CheckpointStore, ErrorKind};

use crate::gate::{Conditional, Gate};
use crate::promises::{keeps_its_promises, of_many_at_once_one_is_created};
use crate::s3_server::S3Server;
use crate::s3_store::store_at;

fn fresh() -> (S3Server, Box<ObjectStorage>) {
    let server = S3Server::start();
    let store = server.store();
    (server, Box::new(store))
}

keeps_its_promises! { fresh:
    put_new_never_replaces
    a_put_replaces_and_is_never_seen_by_halves
    a_list_has_what_was_just_put_and_nothing_else
    a_long_list_is_whole
    what_is_not_there_is_no_error
    a_large_file_goes_through
    a_file_that_is_in_the_way_of_a_fetch_stays
    a_path_that_leads_out_of_the_store_is_refused
}

fn behind_a_gate() -> (S3Server, Gate, ObjectStorage) {
    let server = S3Server::start();
    let gate = Gate::before(server.port);
    let store = store_at(gate.port, "s3://checkpoints/team", "secret");
    (server, gate, store)
}

#[test]
fn of_many_at_once_on_storage_that_decides_atomically_one_is_created() {
    let (_server, gate, store) = behind_a_gate();
    of_many_at_once_one_is_created(&store);
    assert_eq!(gate.conditional_puts_of("/run/chain/"), 25 * 8, "each was a conditional put");
}

#[test]
fn a_lost_answer_is_an_error_and_not_asked_for_again() {
    let (_server, gate, store) = behind_a_gate();
    store.put_new("chain/0", b"claim").unwrap();
    gate.set(Conditional::AnswerLost);
    let error = store.put_new("chain/1", b"checkpoint").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry, "{error}");
    assert_eq!(
        gate.conditional_puts_of("/chain/1"),
        1,
        "a second one would have met the first and called it a stranger"
    );
    assert_eq!(store.get("chain/1").unwrap().as_deref(), Some(&b"checkpoint"[..]), "it was stored all the same");
}

#[test]
fn storage_that_ignores_conditions_is_refused() {
    let (_server, gate, store) = behind_a_gate();
    gate.set(Conditional::Ignored);
    let error = store.put_new("chain/0", b"claim").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(error.message.contains("does not know conditional writes (If-None-Match)"), "{error}");
    assert_eq!(gate.conditional_puts_of("/chain/0"), 0, "nothing was put");
}

#[test]
fn an_outage_may_pass() {
    let (mut server, store) = fresh();
    store.put_new("chain/0", b"claim").unwrap();
    server.stop();
    let errors = [
        store.put_new("chain/1", b"x").unwrap_err(),
        store.put("files/x", Content::Bytes(b"x")).unwrap_err(),
        store.get("chain/0").unwrap_err(),
        store.list("chain").unwrap_err(),
        store.delete("chain/0").unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::Retry, "{error}");
        assert!(error.message.contains("s3://checkpoints/team/prod"), "{error}");
        assert!(error.message.contains("look after the network and the storage"), "{error}");
    }
    server.start_again();
    assert_eq!(store.put_new("chain/1", b"x").unwrap(), PutNew::Created);
}

#[test]
fn credentials_that_are_refused_stay_refused() {
    let server = S3Server::start();
    let store = store_at(server.port, "s3://checkpoints", "another secret");
    for error in [store.put_new("a", b"x").unwrap_err(), store.get("a").unwrap_err(), store.list("a").unwrap_err()] {
        assert_eq!(error.kind, ErrorKind::Fatal, "{error}");
        assert!(error.message.contains("allow these credentials to get, put, list and delete there"), "{error}");
    }
}

#[test]
fn a_bucket_that_does_not_exist_is_named() {
    let server = S3Server::start();
    let store = store_at(server.port, "s3://elsewhere/x", "secret");
    let error = store.list("a").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal, "{error}");
    assert!(error.message.contains("make the bucket `elsewhere`, or choose another"), "{error}");
}
