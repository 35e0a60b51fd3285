/* Finds a number in a JSON object. Knows nothing of Gristmill. */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>
#include <stdint.h>

enum json_found {
    JSON_FOUND,
    JSON_ABSENT,   /* no such field, or it is null */
    JSON_MALFORMED /* not an object, or broken off, or the field is no number */
};

/*
 * Looks up `name` at the top level of the object in text[0..len], which need not end with a NUL.
 * Writes to `number` only when it returns JSON_FOUND. What follows the field is not looked at.
 * A field whose name is spelt with escapes is taken for another one.
 */
enum json_found json_number(const uint8_t *text, size_t len, const char *name, double *number);

#endif
