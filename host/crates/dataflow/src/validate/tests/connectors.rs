//! Sources and sinks.

use super::table;

#[test]
fn sources_are_told_what_they_cannot_do() {
    table(&[
        (
            "path: orders.jsonl",
            "path: \"\", replay_speed: 0",
            &[
                "line 4, column 32: sources.orders.from.file.path: the path is empty; write a file or a pattern such as \
                 data/*.jsonl.gz",
                "line 4, column 50: sources.orders.from.file.replay_speed: nothing can be replayed at the speed 0; write \
                 1.0 for the speed of life, 60.0 for a minute in a second, or leave it out",
                "line 4, column 50: sources.orders.from.file.replay_speed: a replay goes by the time of the events, and \
                 nothing says where that stands; add `event_time: {path: $.ts}` to the source",
            ],
        ),
        (
            "{file: {path: orders.jsonl}}, decode: json",
            "http, decode: json, parallelism: 2",
            &["line 4, column 51: sources.orders.parallelism: a source of kind http has one subtask, not 2; leave it \
               out; what reads from `orders` may have more"],
        ),
        (
            "{file: {path: orders.jsonl}}",
            "{socket: {connect: localhost, max_line: 0}}",
            &[
                "line 4, column 37: sources.orders.from.socket.connect: `localhost` is not an address; write such as \
                 127.0.0.1:9999",
                "line 4, column 58: sources.orders.from.socket.max_line: no line is that short; write such as 1MiB",
            ],
        ),
        (
            "{file: {path: orders.jsonl}}",
            "{socket: {connect: \"localhost:1\", reconnect: 0s}}",
            &[
                "line 4, column 63: sources.orders.from.socket.reconnect: a peer that is not there would be called without \
               a pause; write at least 100ms, such as 1s",
            ],
        ),
        (
            "decode: json",
            "decode: json, start: {event_time: 2013-01-15T00:00:00Z}",
            &[
                "line 4, column 62: sources.orders.start: the start goes by the time of the events, and nothing says where \
               that stands; add `event_time: {path: $.ts}` to `orders`",
            ],
        ),
        (
            "{file: {path: orders.jsonl}}, decode: json",
            "{http: {log: 0}}, decode: json, start: {offset: 7}",
            &[
                "line 4, column 31: sources.orders.from.http.log: nothing fits into it; write such as 4GiB",
                "line 4, column 50: sources.orders.start: nothing of this source is there before the job is; leave it out; \
                 `file` and `generator` sources can begin elsewhere than with what comes next",
            ],
        ),
        ("decode: json", "decode: json, start: {offset: 7}", &[]),
        ("decode: json", "decode: json, event_time: {path: $.t}, start: {event_time: 0}", &[]),
        ("decode: json", "decode: json, start: beginning", &[]),
        (
            "{file: {path: orders.jsonl}}",
            "{generator: {bytes: 0}}",
            &[
                "line 4, column 38: sources.orders.from.generator.bytes: a value cannot have 0 bytes; write 36 to 16777216",
                "line 4, column 51: sources.orders.decode: the generator makes plain text, which cannot be decoded so; \
                 write `values: json` and `decode: json`, or leave out `decode`",
            ],
        ),
        (
            "decode: json",
            "decode: {csv: {header: [a, b, a], columns: {c: int}, delimiter: \"é\"}}",
            &[
                "line 4, column 78: sources.orders.decode.csv.header[2]: two columns are called `a`; rename one of the two",
                "line 4, column 95: sources.orders.decode.csv.columns.c: the header has no column `c`; did you mean `a`?",
                "line 4, column 112: sources.orders.decode.csv.delimiter: `\\u{e9}` cannot part the fields of a row; \
                 write one character of ASCII that is neither a quote nor a line end, such as `;`",
            ],
        ),
        (
            "orders.jsonl",
            "\"${env:}\"",
            &[
                "line 4, column 32: sources.orders.from.file.path: `${env:}` is not a placeholder; write it as ${env:NAME}, \
               the name in letters, digits and `_`",
            ],
        ),
    ]);
}

#[test]
fn sinks_are_told_what_they_cannot_do() {
    table(&[
        (
            "path: good.jsonl",
            "path: ./orders.jsonl",
            &["line 12, column 45: sinks.good.to.file.path: the source `orders` reads this file, which would be \
               overwritten; write to another file"],
        ),
        (
            "to: stdout",
            "to: {file: {path: ./good.jsonl}}",
            &[
                "line 13, column 49: sinks.bad.to.file.path: the sink `good` writes this file too; give each its own file, \
               or feed `good` from both",
            ],
        ),
        (
            "{file: {path: good.jsonl}}",
            "stdout",
            &[
                "line 13, column 35: warning: sinks.bad.to: `good` writes to standard output too: their lines mix; feed \
               `good` from both, or write one of them to a file",
            ],
        ),
        (
            "stdout",
            "{http: {url: example.org, batch: 0, timeout: 0s}}",
            &[
                "line 13, column 48: sinks.bad.to.http.url: `example.org` is not the URL of a server; write it with its \
                 scheme, such as https://example.org/events",
                "line 13, column 68: sinks.bad.to.http.batch: a request without events says nothing; write 1 or more \
                 events, or leave it out",
                "line 13, column 80: sinks.bad.to.http.timeout: no answer comes in no time; write such as 30s",
            ],
        ),
        (
            "stdout",
            "{stdout: {encode: {csv: {columns: {k: $key, a: a}}}}}",
            &[
                "line 13, column 82: sinks.bad.to.stdout.encode.csv.columns.a: `a` is not a JSON path; did you mean `$.a`?",
            ],
        ),
        (
            "path: good.jsonl",
            "path: \"out-{part}/good.parquet\", encode: {parquet: {columns: {k: {path: $key, type: int64}, a: {path: a}, \
             t: {path: $event_time, type: bool}}}}, roll: {size: 0, every: 0s}",
            &[
                "line 12, column 45: sinks.good.to.file.path: `{part}` stands once, in the name of the file; write such as \
                 out/rows-{part}.jsonl",
                "line 12, column 123: sinks.good.to.file.encode.parquet.columns.k.type: a key is text; write `type: \
                 string`, or leave it out",
                "line 12, column 141: sinks.good.to.file.encode.parquet.columns.a.path: `a` is not a JSON path; did you \
                 mean `$.a`?",
                "line 12, column 174: sinks.good.to.file.encode.parquet.columns.t.type: event time is a point in time; \
                 write `type: timestamp` or `type: int64`, or leave it out",
                "line 12, column 197: sinks.good.to.file.roll.size: every file would be full at once; write such as 128MiB",
                "line 12, column 207: sinks.good.to.file.roll.every: every file would be full at once; write such as 5m",
            ],
        ),
        (
            "path: good.jsonl",
            "path: good.parquet, encode: {parquet: {columns: {}}}, roll: {size: 1GiB}",
            &[
                "line 12, column 59: sinks.good.to.file.encode: nothing can be appended to a parquet file; let every \
                 checkpoint write files of its own: put `{part}` into the path, such as out/rows-{part}.parquet",
                "line 12, column 78: sinks.good.to.file.encode.parquet.columns: the rows have no columns; name them with \
                 their paths and types, such as `columns: {id: {path: $.id, type: int64}}`",
                "line 12, column 93: sinks.good.to.file.roll: there is one file only; put `{part}` into the path, or leave \
                 out `roll`",
            ],
        ),
        (
            "stdout",
            "{stdout: {encode: {parquet: {columns: {a: {path: $.a}}}}}}",
            &[
                "line 13, column 45: sinks.bad.to.stdout.encode: parquet is written into files; write them with a `file` \
               sink whose path has `{part}`, such as out/rows-{part}.parquet",
            ],
        ),
        (
            "stdout",
            "{postgres: {url: localhost, table: a.b.c, mode: {upsert: [ID, id, id]}, columns: {id: id}}}",
            &[
                "line 13, column 52: sinks.bad.to.postgres.url: this names no database; write such as \
                 postgres://user@host:5432/database",
                "line 13, column 70: sinks.bad.to.postgres.table: `a.b.c` is not the name of a table; write it as name or \
                 schema.name",
                "line 13, column 93: sinks.bad.to.postgres.mode.upsert[0]: `ID` is not among the columns; known here: `id`",
                "line 13, column 101: sinks.bad.to.postgres.mode.upsert[2]: `id` is named twice; name it once",
                "line 13, column 121: sinks.bad.to.postgres.columns.id: `id` is not a JSON path; did you mean `$.id`?",
            ],
        ),
        (
            "stdout",
            "{postgres: {url: \"${env:PG_URL}\", table: a, mode: {upsert: []}, columns: {}}}",
            &[
                "line 13, column 86: sinks.bad.to.postgres.mode.upsert: no row is known by no columns; name the columns by \
                 which a row is known, such as `{upsert: [id]}`, or write `append`",
                "line 13, column 99: sinks.bad.to.postgres.columns: the rows have no columns; name them with their paths, \
                 such as `columns: {id: $.id, at: $event_time}`",
            ],
        ),
    ]);
}
