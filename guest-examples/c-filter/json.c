/* A cursor over bytes: nothing is read at or after `end`, whatever the bytes say. */
#include "json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
    const uint8_t *at, *end;
};

static bool at_any_of(const struct cursor *c, const char *set) {
    return c->at < c->end && *c->at != 0 && strchr(set, *c->at) != NULL;
}

static void skip_space(struct cursor *c) {
    while (at_any_of(c, " \t\r\n")) c->at++;
}

/* Steps over white space, then over `byte` if it comes next. */
static bool take(struct cursor *c, char byte) {
    skip_space(c);
    if (c->at == c->end || *c->at != (uint8_t)byte) return false;
    c->at++;
    return true;
}

/* From behind the opening quote to behind the closing one; false when there is none. */
static bool skip_string(struct cursor *c) {
    while (c->at < c->end) {
        uint8_t byte = *c->at++;
        if (byte == '"') return true;
        if (byte == '\\' && c->at < c->end) c->at++;
    }
    return false;
}

/* Steps over one value, of any depth, up to what follows it: brackets are counted, not matched. */
static bool skip_value(struct cursor *c) {
    size_t depth = 0;
    for (skip_space(c); c->at < c->end; skip_space(c)) {
        if (depth == 0 && at_any_of(c, ",}]")) return true;
        if (at_any_of(c, "{[")) depth++;
        if (at_any_of(c, "}]")) depth--;
        if (*c->at++ == '"' && !skip_string(c)) return false;
    }
    return false;
}

/* strtod wants a NUL, which the host does not give: it gets a copy. */
static enum json_found number_at(struct cursor *c, double *number) {
    char digits[40];
    size_t len = 0;
    if (take(c, 'n')) return JSON_ABSENT;
    while (at_any_of(c, "+-.0123456789eE")) {
        if (len == sizeof digits - 1) return JSON_MALFORMED;
        digits[len++] = (char)*c->at++;
    }
    digits[len] = 0;
    char *rest;
    double parsed = strtod(digits, &rest);
    if (len == 0 || *rest != 0) return JSON_MALFORMED;
    *number = parsed;
    return JSON_FOUND;
}

enum json_found json_number(const uint8_t *text, size_t len, const char *name, double *number) {
    struct cursor c = {text, text + len};
    if (!take(&c, '{')) return JSON_MALFORMED;
    if (take(&c, '}')) return JSON_ABSENT;
    do {
        if (!take(&c, '"')) return JSON_MALFORMED;
        const uint8_t *field = c.at;
        if (!skip_string(&c)) return JSON_MALFORMED;
        size_t field_len = (size_t)(c.at - field) - 1;
        if (!take(&c, ':')) return JSON_MALFORMED;
        if (field_len == strlen(name) && memcmp(field, name, field_len) == 0) return number_at(&c, number);
        if (!skip_value(&c)) return JSON_MALFORMED;
    } while (take(&c, ','));
    return take(&c, '}') ? JSON_ABSENT : JSON_MALFORMED;
}
