/*
 * Keeps the flights that departed late: JSON objects whose `dep_delay` is above the parameter `minutes`.
 *
 * One input, one output, no state; a flight without a delay never took off and is not late. What is no JSON object is
 * rejected, row by row. operator.h is what wit-bindgen makes of wit/. Its rules of ownership: what comes in is ours to
 * free, what goes out is freed by the bindings after the host has copied it, so it must come from malloc.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "operator.h"

static const char SCHEMA[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":"
    "{\"minutes\":{\"description\":\"flights later than this are kept\",\"type\":\"number\",\"default\":60}}}";

static double minutes;

/* Never NULL: out of memory, the call traps, and the host says so. */
static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) abort();
    return memory;
}

/* After the call the bindings free a list that has entries; an empty one is freed here. */
static void *handed_out(void *list, size_t len) {
    if (len > 0) return list;
    free(list);
    return NULL;
}

void exports_gristmill_operator_guest_describe(exports_gristmill_operator_guest_descriptor_t *ret) {
    memset(ret, 0, sizeof *ret);
    ret->inputs.ptr = allocate(1, sizeof *ret->inputs.ptr);
    ret->inputs.len = 1;
    operator_string_dup(&ret->inputs.ptr[0].name, "flights");
    ret->outputs.ptr = allocate(1, sizeof *ret->outputs.ptr);
    ret->outputs.len = 1;
    operator_string_dup(&ret->outputs.ptr[0].name, "late");
    operator_string_dup(&ret->parameters_schema, SCHEMA);
}

bool exports_gristmill_operator_guest_open(operator_string_t *parameters,
                                           exports_gristmill_operator_guest_context_t *context,
                                           exports_gristmill_operator_guest_failure_t *err) {
    /* The host has checked the parameters against the schema, and filled in the default. */
    bool ok = json_number(parameters->ptr, parameters->len, "minutes", &minutes) == JSON_FOUND;
    if (!ok) {
        err->tag = GRISTMILL_OPERATOR_TYPES_FAILURE_FATAL;
        operator_string_dup(&err->val.fatal, "the parameter `minutes` is missing");
    }
    operator_string_free(parameters);
    exports_gristmill_operator_guest_context_free(context);
    return ok;
}

bool exports_gristmill_operator_processor_process(exports_gristmill_operator_processor_call_t *call, uint32_t input,
                                                  exports_gristmill_operator_processor_batch_t *events,
                                                  exports_gristmill_operator_processor_outcome_t *ret,
                                                  exports_gristmill_operator_processor_failure_t *err) {
    (void)call, (void)input, (void)err;
    const gristmill_operator_types_column_t *values = &events->values;
    size_t rows = values->ends.len, late = 0, broken = 0, nulls = 0;
    uint32_t *late_rows = allocate(rows, sizeof *late_rows), start = 0;
    gristmill_operator_types_rejection_t *rejections = allocate(rows, sizeof *rejections);

    for (uint32_t row = 0; row < rows; start = values->ends.ptr[row++]) {
        if (nulls < values->nulls.len && values->nulls.ptr[nulls] == row) {
            nulls++;
            continue;
        }
        double delay;
        switch (json_number(values->data.ptr + start, values->ends.ptr[row] - start, "dep_delay", &delay)) {
        case JSON_FOUND:
            if (delay > minutes) late_rows[late++] = row;
            break;
        case JSON_ABSENT:
            break;
        case JSON_MALFORMED:
            rejections[broken].row = row;
            operator_string_dup(&rejections[broken++].reason, "not a JSON object with a number `dep_delay`");
            break;
        }
    }
    exports_gristmill_operator_processor_batch_free(events);

    gristmill_operator_types_emission_t *emission = allocate(1, sizeof *emission);
    emission->rows.tag = GRISTMILL_OPERATOR_TYPES_ROWS_SELECTED;
    emission->rows.val.selected = (operator_list_u32_t){handed_out(late_rows, late), late};
    ret->emissions = (gristmill_operator_types_list_emission_t){emission, 1};
    ret->rejections = (gristmill_operator_types_list_rejection_t){handed_out(rejections, broken), broken};
    return true;
}
