//! Keys and paths.

use super::table;

#[test]
fn state_wants_keys() {
    table(&[
        (
            ", key_by: $.id",
            "",
            &["line 10, column 7: operators.count.inputs.in: the module keeps state for each key, and its input `in` \
               has none; add `key_by` with the path of the key in the value, or `key_by: key` for the event's own"],
        ),
        (
            "sinks:",
            "  join: {module: join@1, inputs: {left: {from: orders}, right: {from: orders}}}\nsinks:\n  o: {inputs: [join], to: blackhole}",
            &[
                "line 11, column 35: operators.join.inputs.left: the module's input `left` must come keyed; add `key_by` \
               with the path of the key in the value, or `key_by: key` for the event's own",
            ],
        ),
        (
            "from: orders}",
            "from: orders, key_by: key}",
            &[
                "line 6, column 66: operators.enrich.inputs.in.key_by: the source `orders` gives its events no key; add \
               `key: $.…` to the source, or name a path into the value here",
            ],
        ),
    ]);
}

#[test]
fn paths_lead_to_one_place() {
    table(&[
        (
            "$.id",
            "id",
            &["line 10, column 39: operators.count.inputs.in.key_by: `id` is not a JSON path; did you mean `$.id`?"],
        ),
        (
            "$.id",
            "[$.id, $..id, $.id, key]",
            &[
                "line 10, column 46: operators.count.inputs.in.key_by[1]: `$..id` may lead to several values; use names \
                 and indexes only, such as $.customer.id or $.items[0]",
                "line 10, column 53: operators.count.inputs.in.key_by[2]: `$.id` is named twice; name it once",
                "line 10, column 59: operators.count.inputs.in.key_by[3]: `key` is not a JSON path; `key`, the event's own key, stands alone",
            ],
        ),
        (
            "decode: json",
            "decode: json, event_time: {path: $.*}",
            &["line 4, column 81: sources.orders.event_time.path: `$.*` may lead to several values; use names and \
               indexes only, such as $.customer.id or $.items[0]"],
        ),
        (
            "decode: json",
            "event_time: {path: $.ts}",
            &[
                "line 4, column 67: sources.orders.event_time.path: a path leads into JSON, but this source takes events \
               as raw bytes; add `decode: json` or `decode: csv` to the source",
            ],
        ),
    ]);
}
