//! Numbers out of range.

use super::table;

#[test]
fn numbers_out_of_range_are_told() {
    table(&[
        (
            "version: 1",
            "version: 2",
            &["line 1, column 10: version: version 2 of the document's format is unknown; write version: 1"],
        ),
        (
            "job: orders",
            "job: orders\nparallelism: 300",
            &[
                "line 3, column 14: parallelism: 300 subtasks are too many: at most 256, each a thread; one for each core \
               is a good number",
            ],
        ),
        (
            "job: orders",
            "job: orders\nmax_parallelism: 1\nparallelism: 2",
            &[
                "line 4, column 14: parallelism: 2 subtasks cannot share 1 key groups; raise `max_parallelism` before the \
               job first runs, or lower this",
            ],
        ),
        (
            "job: orders",
            "job: orders\nbatch: {max_rows: 0, max_bytes: 0, channel_bytes: 0}",
            &[
                "line 3, column 19: batch.max_rows: a batch cannot hold 0 events; write 1 to 1048576",
                "line 3, column 33: batch.max_bytes: `0` leaves no room, or too much; write 1 byte to 1GiB",
                "line 3, column 51: batch.channel_bytes: `0` leaves no room, or too much; write 1 byte to 1GiB",
            ],
        ),
        (
            "job: orders",
            "job: orders\nbatch: {channel_bytes: 1KiB}",
            &[
                "line 3, column 24: warning: batch.channel_bytes: a channel of 1KiB cannot hold a batch of 512KiB; make it \
               at least `batch.max_bytes`, or batches wait for one another",
            ],
        ),
        (
            "job: orders",
            "job: orders\ncheckpoint: {every: 1ms, timeout: 0s, keep: 0, backend: rocksdb, memory: 1KiB}",
            &[
                "line 3, column 21: checkpoint.every: the job would do nothing but make checkpoints; write 10ms or more, \
                 or never",
                "line 3, column 35: checkpoint.timeout: no checkpoint is complete in no time; write such as 10m",
                "line 3, column 45: checkpoint.keep: 0 checkpoints cannot be kept; write 1 to 1000",
                "line 3, column 74: checkpoint.memory: 1KiB hold no state to speak of; write 1MiB to 262144GiB",
            ],
        ),
        (
            "job: orders",
            "job: orders\ncheckpoint: {every: 999999999999999h, min_pause: 87601h, timeout: 87600h}\nrestart: {fixed: \
             {delay: 99999999h}}",
            &[
                "line 3, column 21: checkpoint.every: nobody waits for longer than ten years; write at most 87600h, or \
                 never",
                "line 3, column 50: checkpoint.min_pause: nobody waits for longer than ten years; write at most 87600h",
                "line 4, column 26: restart.fixed.delay: nobody waits for longer than ten years; write at most 87600h",
            ],
        ),
        (
            "job: orders",
            "job: orders\ncheckpoint: {keep: 99999999999, backend: rocksdb, memory: 0}",
            &[
                "line 3, column 20: checkpoint.keep: 99999999999 checkpoints cannot be kept; write 1 to 1000",
                "line 3, column 59: checkpoint.memory: 0 bytes hold no state to speak of; write 1MiB to 262144GiB",
            ],
        ),
        (
            "job: orders",
            "job: orders\ncheckpoint: {memory: 999999TiB}",
            &["line 3, column 22: checkpoint.memory: no machine has 1023998976GiB; write 1MiB to 262144GiB"],
        ),
        (
            "job: orders",
            "job: orders\ncheckpoint: {memory: 64MiB}",
            &[
                "line 3, column 22: warning: checkpoint.memory: with `backend: memory` all state is in memory, whatever is \
                 written here; write `backend: rocksdb`, or leave it out",
            ],
        ),
        (
            "job: orders",
            "job: orders\nrestart: {exponential: {from: 2m, jitter: 1.5}}",
            &[
                "line 3, column 31: restart.exponential.from: the first wait is longer than the longest; make it at most \
                 `to`",
                "line 3, column 43: restart.exponential.jitter: a wait cannot change by 1.5 of itself; write 0 to 1",
            ],
        ),
        (
            "module: count@1",
            "module: count@1\n    limits: {memory: 0, call: 0s, output: 0}",
            &[
                "line 9, column 22: operators.count.limits.memory: an instance cannot live in 0 of memory; write 64KiB \
                 to 4GiB",
                "line 9, column 31: operators.count.limits.call: no call can be over in no time; write such as 5s",
                "line 9, column 43: operators.count.limits.output: no call could return anything; write such as 64MiB",
            ],
        ),
        (
            "module: count@1",
            "module: count@1\n    on_failure: {broken_after: 0, transient: {then: skip}}",
            &[
                "line 9, column 32: operators.count.on_failure.broken_after: the operator would be broken before its \
                 first event; write 1 or more: faulty events in a row",
                "line 9, column 53: operators.count.on_failure.transient.then: a batch for which the world is not ready \
                 is not skipped; write fail-job or dead-letter",
            ],
        ),
    ]);
}
