//! PostgreSQL, beyond what every transactional sink promises.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_ports::ErrorKind;
use gristmill_types::CheckpointId;
use serde_json::json;

use super::kinds::Kind;
use super::server::Server;
use super::world::{World, spec, values_of};

fn table(server: &Server, name: &str, definition: &str) {
    server.ask(&format!("drop table if exists {name}; create table {name} ({definition})"));
}

#[test]
fn a_server_that_crashes_in_mid_commit_loses_and_doubles_nothing() {
    let (world, kind) = (World::alone(), Kind::postgres());
    let Kind::Postgres { server, .. } = &kind else { unreachable!("it was just made") };
    let mut attempt = world.attempt(&kind.spec(), 1, None);
    let mut committer = world.committer(&kind.spec(), 1);
    for (number, point) in (1..).zip(["postgres-sink-begun", "postgres-sink-recorded", "postgres-sink-rows-loaded"]) {
        attempt.write([number]);
        let committables = attempt.checkpoint(number).committables;
        let crashed = Arc::clone(server);
        fail::cfg_callback(point, move || crashed.crash()).unwrap();
        let error = world.commit(&mut *committer, number, &committables).expect_err(point);
        assert_eq!(error.kind, ErrorKind::Retry, "{error}");
        fail::remove(point);
        assert_eq!(kind.visible(&world), (1..number).collect::<Vec<_>>(), "{point}");
        world.commit(&mut *committer, number, &committables).unwrap();
        world.commit(&mut *committer, number, &committables).unwrap();
        assert_eq!(kind.visible(&world), (1..=number).collect::<Vec<_>>(), "{point}");
    }
}

#[test]
fn two_that_commit_the_same_at_once_commit_it_once() {
    let (world, kind) = (World::new(), Kind::postgres());
    let mut attempt = world.attempt(&kind.spec(), 1, None);
    attempt.write(0..5000);
    let committables = attempt.checkpoint(1).committables;
    let (permit, [committable]) = (world.permit(1), committables.as_slice()) else { panic!("{committables:?}") };
    std::thread::scope(|scope| {
        for attempt in 1..=4 {
            let (mut committer, permit) = (world.committer(&kind.spec(), attempt), &permit);
            scope.spawn(move || committer.commit(permit, committable).unwrap());
        }
    });
    assert_eq!(kind.visible(&world), (0..5000).collect::<Vec<_>>());
}

#[test]
fn more_rows_than_memory_holds_go_through_a_file() {
    let (world, kind) = (World::new(), Kind::postgres());
    let mut attempt = world.attempt(&kind.spec(), 1, None);
    for batch in 0..200_u64 {
        attempt.write(10_000_000_000 + batch * 5000..10_000_000_000 + (batch + 1) * 5000);
    }
    world.commit(&mut *world.committer(&kind.spec(), 1), 1, &attempt.checkpoint(1).committables).unwrap();
    assert_eq!(kind.visible(&world).len(), 1_000_000);
}

#[test]
fn rows_that_are_there_already_are_written_over_and_the_last_event_wins() {
    let (world, server) = (World::new(), Server::running());
    table(&server, "\"Stock\"", "shop text, item text, n int, primary key (item, shop)");
    let columns = json!({"shop": "$key", "item": "$.item", "n": "$.n"});
    let upsert = json!({"upsert": ["shop", "item"]});
    let spec = spec(json!({"postgres":
        {"url": server.url, "table": "public.Stock", "mode": upsert, "columns": columns}}));
    let mut attempt = world.attempt(&spec, 1, None);
    let mut committer = world.committer(&spec, 1);
    let row = |item: &str, n: i32| format!("{{\"item\":\"{item}\",\"n\":{n}}}");
    for (number, rows) in (1..)
        .zip([vec![row("a", 1), row("b", 1), row("a", 2), row("a", 3)], vec![row("b", 5), row("c", 1), row("b", 4)]])
    {
        let refused = attempt.sink.write(&values_of(&rows)).unwrap();
        assert!(refused.is_empty());
        let committables = attempt.checkpoint(number).committables;
        world.commit(&mut *committer, number, &committables).unwrap();
        world.commit(&mut *committer, number, &committables).unwrap();
    }
    assert_eq!(server.ask("select * from \"Stock\" order by item"), ["k|a|3", "k|b|4", "k|c|1"]);
    let refused = attempt.sink.write(&values_of(&["{\"n\":1}"])).unwrap();
    assert_eq!(refused[0].reason, "column `item` takes no null, and the event has nothing for it");
}

/// Values that are somewhere at the edge of something.
const TRICKY: [&str; 46] = [
    "0",
    "-1",
    "7.0",
    "7.5",
    "1e400",
    "-0.0",
    "32768",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1e308",
    "1e-320",
    "3.5e38",
    "99999.994",
    "99999.995",
    "1e130",
    "true",
    "false",
    "\"true\"",
    "\"\"",
    "\" \"",
    "\"\\\\\"",
    "\"\\\\N\"",
    "\"\\\\.\"",
    "\"a\\tb\\nc\\rd\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"0123456789\"",
    "\"01234567890\"",
    "\"2026-11-21\"",
    "\"2026-02-30\"",
    "\"2026-11-21T23:59:60Z\"",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\"0001-01-01T00:00:00Z\"",
    "\"-000001-01-01T00:00:00Z\"",
    "\"2026-11-21T17:15:07.1234567+05:45\"",
    "\"infinity\"",
    "\"NaN\"",
    "[1,\"\\u0000\"]",
    "{\"a\\u0000\":1}",
    "{\"a\":{\"b\":[null,1e5,\"\\\"\"]}}",
    "\"123e4567-e89b-12d3-a456-426614174000\"",
    "\"123e4567e89b12d3a456426614174000\"",
    "\"123e4567-e89b-12d3-a456-42661417400\"",
];

#[test]
fn every_row_that_is_not_refused_is_taken_by_the_database() {
    let (world, server) = (World::new(), Server::running());
    let types = [
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "real",
        "double precision",
        "numeric",
        "numeric(7,2)",
        "text",
        "varchar(10)",
        "char(10)",
        "timestamp",
        "timestamptz(0)",
        "date",
        "uuid",
        "json",
        "jsonb",
        "bytea",
    ];
    let definition: Vec<_> = types.iter().enumerate().map(|(number, kind)| format!("c{number} {kind}")).collect();
    table(&server, "edges", &definition.join(", "));
    let columns: serde_json::Map<_, _> =
        (0..types.len()).map(|number| (format!("c{number}"), json!(format!("$.c{number}")))).collect();
    let spec = spec(json!({"postgres": {"url": server.url, "table": "edges", "columns": columns}}));
    let mut attempt = world.attempt(&spec, 1, None);
    let values: Vec<_> = TRICKY
        .iter()
        .flat_map(|value| (0..types.len()).map(move |number| format!("{{\"c{number}\":{value}}}")))
        .collect();
    let refused = attempt.sink.write(&values_of(&values)).unwrap();
    assert!(!refused.is_empty() && refused.len() < values.len());
    world.commit(&mut *world.committer(&spec, 1), 1, &attempt.checkpoint(1).committables).unwrap();
    let taken = server.ask("select count(*) from edges");
    assert_eq!(taken, [(values.len() - refused.len()).to_string()]);
    let shown = server
        .ask("select c11, c12, c6, c8 from edges where c11 is not null or c6 = 9223372036854775808 order by 1, 3");
    assert!(shown.iter().any(|row| row.starts_with("2026-11-21 11:30:07.123457|")), "UTC: {shown:?}");
}

#[test]
fn every_number_is_a_row_or_a_dead_letter() {
    let (world, server) = (World::new(), Server::running());
    let types =
        ["numeric", "numeric(7,2)", "numeric(5,-3)", "jsonb", "json", "real", "double precision", "bigint", "text"];
    let definition: Vec<_> = types.iter().enumerate().map(|(number, kind)| format!("c{number} {kind}")).collect();
    table(&server, "numbers", &definition.join(", "));
    let columns: serde_json::Map<_, _> =
        (0..types.len()).map(|number| (format!("c{number}"), json!(format!("$.c{number}")))).collect();
    let spec = spec(json!({"postgres": {"url": server.url, "table": "numbers", "columns": columns}}));
    let long = |before: &str, digits: usize| format!("{before}{}", "7".repeat(digits));
    let mut numbers: Vec<String> = [0, 1, 999, 1000, 1001, 16383, 16384, 20_000, 131_072, 2_147_483_647]
        .iter()
        .flat_map(|size| ["0e", "0e-", "1e", "1e-", "-0.0e-", "123.456e-"].map(|before| format!("{before}{size}")))
        .collect();
    numbers.extend([99, 997, 998, 999, 1000, 16_383, 16_384, 20_000].map(|digits| long("0.", digits)));
    numbers.extend([15, 19, 40, 999, 1000, 1001, 131_072].map(|digits| long("", digits)));
    numbers.extend([format!("0.{}", "0".repeat(20_000)), "1e99999999999999999999".to_owned()]);
    let texts = numbers.iter().map(|number| format!("\"{number}\""));
    let nested = numbers.iter().map(|number| format!("{{\"x\":[{number}]}}"));
    let all: Vec<String> = numbers.iter().cloned().chain(texts).chain(nested).collect();
    let values: Vec<_> =
        all.iter().flat_map(|value| (0..types.len()).map(move |column| format!("{{\"c{column}\":{value}}}"))).collect();
    let mut attempt = world.attempt(&spec, 1, None);
    let refused = attempt.sink.write(&values_of(&values)).unwrap();
    world.commit(&mut *world.committer(&spec, 1), 1, &attempt.checkpoint(1).committables).unwrap();
    assert_eq!(server.ask("select count(*) from numbers"), [(values.len() - refused.len()).to_string()]);
    for (column, at_least) in [("c0", 60), ("c1", 10), ("c3", 100), ("c4", 100)] {
        let taken: usize = server.ask(&format!("select count({column}) from numbers"))[0].parse().unwrap();
        assert!(taken >= at_least, "{column} takes {taken}");
    }
}

#[test]
fn records_of_long_ago_are_removed_and_those_that_a_checkpoint_may_list_stay() {
    let (world, kind) = (World::new(), Kind::postgres());
    let Kind::Postgres { server, .. } = &kind else { unreachable!("it was just made") };
    let mut attempt = world.attempt(&kind.spec(), 1, None);
    let mut committer = world.committer(&kind.spec(), 1);
    let ours = format!("run = '{}'", world.run);
    for number in 20_001..20_065 {
        attempt.write([number]);
        let committables = attempt.checkpoint(number).committables;
        world.commit(&mut *committer, number, &committables).unwrap();
        if number == 20_001 {
            server.ask(&format!(
                "insert into gristmill_commits select run, sink, 'before', g, g, job, 0 from gristmill_commits, \
                 generate_series(1, 20000) g where {ours}"
            ));
        }
    }
    let kept =
        server.ask(&format!("select count(*), min(checkpoint), max(checkpoint) from gristmill_commits where {ours}"));
    assert_eq!(kept, ["10000|10065|20064"]);
}

#[test]
fn a_row_that_breaks_a_rule_of_the_table_stops_the_job_and_goes_in_once_the_rule_is_gone() {
    let (world, server) = (World::new(), Server::running());
    table(&server, "ruled", "id int, constraint positive check (id > 0)");
    let spec = spec(json!({"postgres": {"url": server.url, "table": "ruled", "columns": {"id": "$.id"}}}));
    let mut attempt = world.attempt(&spec, 1, None);
    let mut committer = world.committer(&spec, 1);
    attempt.write([1, 0]);
    let committables = attempt.checkpoint(1).committables;
    let error = world.commit(&mut *committer, 1, &committables).expect_err("0 is not positive");
    assert_eq!(error.kind, ErrorKind::Fatal);
    for words in
        ["2 rows of checkpoint 1", "`public.ruled`", "Failing row contains (0)", "constraint `positive`", "kept"]
    {
        assert!(error.message.contains(words), "{error}");
    }
    server.ask("alter table ruled drop constraint positive");
    world.commit(&mut *committer, 1, &committables).unwrap();
    assert_eq!(server.ask("select count(*) from ruled"), ["2"]);
}

#[test]
fn a_table_that_does_not_fit_is_a_sentence_before_the_first_event() {
    let (world, server) = (World::new(), Server::running());
    table(
        &server,
        "fits",
        "id int not null, at timestamptz, twice int generated always as (id * 2) stored, place inet, n int unique deferrable",
    );
    server.ask("create or replace view looks as select 1 as id");
    let to = |table: &str, columns: serde_json::Value, mode: serde_json::Value| {
        spec(json!({"postgres": {"url": server.url, "table": table, "mode": mode, "columns": columns}}))
    };
    let id = json!({"id": "$.id"});
    for (spec, words) in [
        (to("nowhere", id.clone(), json!("append")), "the table `nowhere` is not there; create it"),
        (to("looks", id.clone(), json!("append")), "is a view"),
        (to("fits", json!({"id": "$.id", "to": "$.to"}), json!("append")), "has no column `to`; it has `id`, `at`"),
        (to("fits", json!({"at": "$.at"}), json!("append")), "has the column `id`, which allows no nulls"),
        (to("fits", json!({"id": "$.id", "twice": "$.t"}), json!("append")), "makes the column `twice` by itself"),
        (to("fits", json!({"id": "$.id", "place": "$.p"}), json!("append")), "has the column `place` of type inet"),
        (to("fits", id, json!({"upsert": ["id"]})), "create unique index on \"fits\" (\"id\")"),
        (to("fits", json!({"id": "$.id", "n": "$.n"}), json!({"upsert": ["n"]})), "has no unique index on (\"n\")"),
    ] {
        let error = world.open(&spec, &world.context(1, 0, 1), None).err().expect(words);
        assert!(error.kind == ErrorKind::Fatal && error.message.contains(words), "{error}");
    }
    let mut attempt = world.attempt(&to("fits", json!({"id": "$.id", "at": "$event_time"}), json!("append")), 1, None);
    let refused = attempt.sink.write(&values_of(&["{}", "{\"id\":3000000000}", "{\"id\":1}"])).unwrap();
    assert_eq!(refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), [0, 1]);
    assert!(attempt.sink.pre_commit(CheckpointId(1)).unwrap().is_some());
}

#[test]
fn a_right_that_a_commit_needs_is_missed_before_the_first_event() {
    let (world, server) = (World::new(), Server::running());
    server.ask("create schema guarded; create table guarded.rows (id int unique)");
    let as_user = |user: &str, mode: serde_json::Value| {
        let url = server.url.replace("user=postgres", &format!("user={user}"));
        spec(json!({"postgres": {"url": url, "table": "guarded.rows", "mode": mode, "columns": {"id": "$.id"}}}))
    };
    let append = as_user("clerk", json!("append"));
    let upsert = as_user("clerk", json!({"upsert": ["id"]}));
    let refusal = |spec| {
        let error = world.open(spec, &world.context(1, 0, 1), None).err().expect("a right is missing");
        assert_eq!(error.kind, ErrorKind::Fatal, "{error}");
        error.message
    };
    server.ask(
        "create role clerk login; grant usage on schema guarded to clerk; \
         grant select, insert, update on guarded.rows to clerk; revoke temporary on database postgres from public",
    );
    assert!(refusal(&append).contains("in the table of commits, `guarded.gristmill_commits`"), "it cannot be made");
    let words = "the table `guarded.gristmill_commits`, where commits are recorded, is not the host's to write";
    world.attempt(&as_user("postgres", json!("append")), 1, None);
    for right in ["select", "insert", "delete"] {
        assert!(refusal(&append).contains(words), "without {right}");
        server.ask(&format!("grant {right} on guarded.gristmill_commits to clerk"));
    }
    assert!(refusal(&upsert).contains("grant it temporary on the database"));
    let mut attempt = world.attempt(&append, 1, None);
    attempt.write([1]);
    let committables = attempt.checkpoint(1).committables;
    server.ask("revoke insert on guarded.gristmill_commits from clerk");
    let error = world.commit(&mut *world.committer(&append, 1), 1, &committables).expect_err("taken away since");
    let words = "in the table of commits, `guarded.gristmill_commits`, ";
    assert!(error.kind == ErrorKind::Fatal && error.message.contains(words), "{error}");
    server.ask("grant insert on guarded.gristmill_commits to clerk; grant temporary on database postgres to clerk");
    world.commit(&mut *world.committer(&append, 1), 1, &committables).unwrap();
    world.attempt(&upsert, 1, None);
}

#[test]
fn a_load_takes_as_long_as_it_takes_and_ends_with_its_job() {
    let (world, server) = (World::new(), Server::running());
    table(&server, "slow", "id int");
    server.ask(
        "create or replace function doze() returns trigger language plpgsql as \
         'begin perform pg_sleep(new.id); return new; end'; \
         create trigger doze before insert on slow for each row execute function doze()",
    );
    let url = format!("{} options='-c statement_timeout=200ms' application_name=slow", server.url);
    let spec = spec(json!({"postgres": {"url": url, "table": "slow", "columns": {"id": "$.id"}}}));
    let mut attempt = world.attempt(&spec, 1, None);
    attempt.write([1]);
    world.commit(&mut *world.committer(&spec, 1), 1, &attempt.checkpoint(1).committables).unwrap();
    attempt.write([600]);
    let committables = attempt.checkpoint(2).committables;
    let context = world.context(2, 0, 1);
    let mut committer = world.committer_of(&spec, &context);
    let loading = || server.ask("select count(*) from pg_stat_activity where wait_event = 'PgSleep'");
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| world.commit(&mut *committer, 2, &committables));
        let deadline = Instant::now() + Duration::from_secs(60);
        while loading() == ["0"] {
            assert!(Instant::now() < deadline, "the load never began");
        }
        context.cancelled.raise();
        let error = commit.join().unwrap().expect_err("it is given up");
        assert!(error.kind == ErrorKind::Retry && error.message.contains("before the job was cancelled"), "{error}");
        while loading() != ["0"] {
            assert!(Instant::now() < deadline, "the server goes on with it");
        }
    });
    assert_eq!(server.ask("select count(*) from slow"), ["1"]);
}

#[test]
fn a_database_that_cannot_be_reached_is_tried_again_and_one_that_refuses_is_not() {
    let (world, server) = (World::new(), Server::running());
    for (url, kind, words) in [
        (
            "postgres://somebody:s3cret@127.0.0.1:1/shop".to_owned(),
            ErrorKind::Retry,
            "the database `shop` at `127.0.0.1:1`",
        ),
        ("postgres://127.0.0.1:1/shop".to_owned(), ErrorKind::Retry, "check its address in `url`, and that it runs"),
        ("postgres://h:port/x".to_owned(), ErrorKind::Fatal, "write it such as postgres://user@host:5432/database"),
        (server.url.replace("dbname=postgres", "dbname=nothing"), ErrorKind::Fatal, "does not exist"),
        ("postgres://h/x?sslmode=require".to_owned(), ErrorKind::Fatal, "asks for TLS"),
        ("postgres://h/x?password=s3cret&mode=1".to_owned(), ErrorKind::Fatal, "names no database"),
    ] {
        let spec = spec(json!({"postgres": {"url": url, "table": "t", "columns": {"id": "$.id"}}}));
        let error = world.open(&spec, &world.context(1, 0, 1), None).err().expect(words);
        assert!(error.kind == kind && error.message.contains(words) && !error.message.contains("s3cret"), "{error:?}");
    }
}
