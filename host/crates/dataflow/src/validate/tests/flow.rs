//! References, rings, inputs and spreads.

use super::{GOOD, table, told};

#[test]
fn references_that_lead_nowhere_are_told() {
    table(&[
        (
            "from: orders}",
            "from: ordres}",
            &[
                "line 4, column 3: sources.orders: nothing reads from this source; name `orders` in the inputs of an \
                 operator or a sink, or take it out",
                "line 6, column 50: operators.enrich.inputs.in.from: no source or operator is called `ordres`; did you \
                 mean `orders`?",
            ],
        ),
        (
            "[count]",
            "[enrich]",
            &[
                "line 7, column 3: warning: operators.count: nothing reads from this operator; name `count` in the \
                 inputs of a sink if its output is of use",
                "line 12, column 19: sinks.good.inputs[0]: `enrich` has several output ports; write one of \
                 `enrich.good`, `enrich.bad`",
            ],
        ),
        (
            "enrich.good",
            "enrich.god",
            &[
                "line 10, column 18: operators.count.inputs.in.from: `enrich` has no output port `god`; did you mean `good`?",
            ],
        ),
        (
            "from: orders}",
            "from: orders.out}",
            &[
                "line 4, column 3: sources.orders: nothing reads from this source; name `orders` in the inputs of an \
                 operator or a sink, or take it out",
                "line 6, column 50: operators.enrich.inputs.in.from: `orders` is a source and has no port `out`; write \
                 `orders`",
            ],
        ),
        (
            "[count]",
            "[count, bad]",
            &["line 12, column 26: sinks.good.inputs[1]: `bad` is a sink, and nothing flows out of a sink; name a \
               source or an operator"],
        ),
        (
            "[count]",
            "[count, count]",
            &["line 12, column 26: sinks.good.inputs[1]: `count` feeds this input twice, so every event would come \
               twice; take one of the two out"],
        ),
        (
            "  bad: {inputs: [enrich.bad], to: stdout}\n",
            "",
            &["line 6, column 3: warning: operators.enrich: nothing reads its port `bad`: what leaves there is \
               dropped; name `enrich.bad` in the inputs of a sink if it is of use"],
        ),
        (
            "[count]",
            "[]",
            &[
                "line 7, column 3: warning: operators.count: nothing reads from this operator; name `count` in the inputs \
             of a sink if its output is of use",
                "line 12, column 10: sinks.good.inputs: nothing flows into this sink; name the sources and operators whose \
             events it takes",
            ],
        ),
    ]);
}

#[test]
fn a_ring_is_named_with_all_its_nodes() {
    table(&[(
        "from: orders}",
        "from: [orders, count]}",
        &[
            "line 10, column 18: operators.count.inputs.in.from: the operators feed each other in a ring: count → enrich → \
           count; events flow one way, from sources to sinks: take one of these edges out",
        ],
    )]);
}

#[test]
fn ids_are_unique_over_all_sections() {
    table(&[(
        "  bad:",
        "  enrich:",
        &["line 13, column 3: sinks.enrich: the id `enrich` is taken by operators.enrich; ids are unique in a job, \
           whatever they name: rename one of the two"],
    )]);
}

#[test]
fn inputs_are_those_of_the_module() {
    table(&[(
        "inputs: {in: {from: orders}}",
        "inputs: {inn: {from: orders}}",
        &[
            "line 6, column 30: operators.enrich.inputs: the module's input `in` is fed by nothing; add `in: {from: …}`",
            "line 6, column 39: operators.enrich.inputs.inn: the module has no input `inn`; did you mean `in`?",
        ],
    )]);
}

#[test]
fn a_module_that_is_not_here_is_told() {
    assert_eq!(
        told(&GOOD.replace("  count:\n", "  other:\n").replace("[count]", "[other]")),
        [
            "line 8, column 13: operators.other.module: the module `count@1` is not here; see `gristmill module list` for \
          those that are, and `gristmill module push` to add one"
        ]
    );
}

#[test]
fn spreads_that_cannot_be_are_told() {
    table(&[
        (
            "from: orders}}",
            "from: orders, partition: forward}}, parallelism: 2",
            &[
                "line 6, column 69: operators.enrich.inputs.in.partition: `forward` goes from subtask i to subtask i, but \
               `orders` has 1 and `enrich` has 2; make their parallelism equal, or write `partition: rebalance`",
            ],
        ),
        (
            "key_by: $.id",
            "key_by: $.id, partition: broadcast",
            &[
                "line 10, column 56: operators.count.inputs.in.partition: `key_by` already says how events spread; take \
               `partition` out: events of a key all go to the subtask that owns it",
            ],
        ),
    ]);
}
