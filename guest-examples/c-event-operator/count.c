/*
 * Counts the events of each key, and emits {"key":…,"count":…} for each event.
 *
 * The literal world `event-operator`: one call an event, and one state, the current key's. No descriptor and no
 * batches; event_operator.h is what wit-bindgen makes of wit/. What comes in is ours to free, what goes out comes from
 * malloc and is freed by the bindings after the host has copied it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event_operator.h"

typedef exports_gristmill_operator_event_handler_event_t event_t;

/* Never NULL: out of memory, the call traps, and the host says so. */
static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) abort();
    return memory;
}

/* The count so far, 8 bytes little-endian as Wasm's memory is. False when the state holds something else. */
static bool read_count(uint64_t *count) {
    event_operator_list_u8_t stored;
    *count = 0;
    if (!gristmill_operator_event_state_get(&stored)) return true;
    bool fits = stored.len == sizeof *count;
    if (fits) memcpy(count, stored.ptr, sizeof *count);
    event_operator_list_u8_free(&stored);
    return fits;
}

static void write_count(uint64_t count) {
    event_operator_list_u8_t value = {(uint8_t *)&count, sizeof count};
    gristmill_operator_event_state_put(&value);
}

/* Writes `key` as the inside of a JSON string; the room for it is 6 bytes a byte. Keys are taken to be UTF-8. */
static size_t escape(char *out, const event_operator_list_u8_t *key) {
    char *at = out;
    for (size_t i = 0; i < key->len; i++) {
        uint8_t byte = key->ptr[i];
        if (byte < 0x20) {
            at += sprintf(at, "\\u%04x", byte);
        } else {
            if (byte == '"' || byte == '\\') *at++ = '\\';
            *at++ = (char)byte;
        }
    }
    return (size_t)(at - out);
}

static event_operator_list_u8_t render(const event_operator_list_u8_t *key, uint64_t count) {
    static const char HEAD[] = "{\"key\":\"", TAIL[] = "\",\"count\":%" PRIu64 "}";
    size_t room = sizeof HEAD + 6 * key->len + sizeof TAIL + 20; /* 20 digits are the longest count */
    char *text = allocate(room);
    memcpy(text, HEAD, sizeof HEAD - 1);
    size_t len = sizeof HEAD - 1;
    len += escape(text + len, key);
    len += (size_t)snprintf(text + len, room - len, TAIL, count);
    return (event_operator_list_u8_t){(uint8_t *)text, len};
}

/* Every kind of failure holds a text, and nothing else. */
static bool fail(event_t *event, exports_gristmill_operator_event_handler_failure_t *err, uint8_t kind,
                 const char *reason) {
    event_operator_option_list_u8_free(&event->key);
    event_operator_option_list_u8_free(&event->value);
    err->tag = kind;
    event_operator_string_dup(&err->val.fatal, reason);
    return false;
}

bool exports_gristmill_operator_event_handler_on_event(event_t *event,
                                                       exports_gristmill_operator_event_handler_list_event_t *ret,
                                                       exports_gristmill_operator_event_handler_failure_t *err) {
    uint64_t count;
    if (!event->key.is_some) {
        return fail(event, err, GRISTMILL_OPERATOR_TYPES_FAILURE_BAD_RECORD, "the event has no key");
    }
    if (!read_count(&count)) {
        return fail(event, err, GRISTMILL_OPERATOR_TYPES_FAILURE_FATAL, "the state holds no count");
    }
    write_count(++count);

    event_t *out = allocate(sizeof *out);
    *out = (event_t){.timestamp = event->timestamp, .key = event->key}; /* the key moves on; the value stays behind */
    out->value.is_some = true;
    out->value.val = render(&event->key.val, count);
    event_operator_option_list_u8_free(&event->value);
    *ret = (exports_gristmill_operator_event_handler_list_event_t){out, 1};
    return true;
}
