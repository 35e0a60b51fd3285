/* Tests of json.c, natively: `scripts/guests-c.sh --test`. Prints what failed; the exit code says how many. */
#include "../json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *promise, *text;
    enum json_found found;
    double number;
} CASES[] = {
    {"a whole number is found", "{\"n\":61}", JSON_FOUND, 61},
    {"a negative fraction is found", "{\"n\":-0.5}", JSON_FOUND, -0.5},
    {"an exponent is found", "{\"n\":1.5E+2}", JSON_FOUND, 150},
    {"white space is stepped over", " {\t\"a\" : 1 ,\r\n\"n\" : 2 } ", JSON_FOUND, 2},
    {"strings, lists and objects before it are stepped over", "{\"a\":\"}\",\"b\":[1,{\"n\":7}],\"n\":3}", JSON_FOUND, 3},
    {"an escaped quote does not end a string", "{\"a\":\"\\\",\\\"n\\\":9\",\"n\":4}", JSON_FOUND, 4},
    {"a longer name is another field", "{\"nn\":1,\"n\":5}", JSON_FOUND, 5},
    {"an empty object has no field", "{}", JSON_ABSENT, 0},
    {"the field of an inner object is another field", "{\"a\":{\"n\":1}}", JSON_ABSENT, 0},
    {"null is absent", "{\"n\":null}", JSON_ABSENT, 0},
    {"a text is no number", "{\"n\":\"60\"}", JSON_MALFORMED, 0},
    {"two signs are no number", "{\"n\":--1}", JSON_MALFORMED, 0},
    {"more digits than any double has are refused", "{\"n\":00000000000000000000000000000000000000001}", JSON_MALFORMED, 0},
    {"a list is no object", "[1]", JSON_MALFORMED, 0},
    {"nothing is no object", "", JSON_MALFORMED, 0},
    {"a comma must be followed by a field", "{\"a\":1,}", JSON_MALFORMED, 0},
};

/* From memory of just that length, so that the address sanitizer sees a read beyond it. */
static enum json_found look(const char *text, size_t len, double *number) {
    uint8_t *exact = malloc(len > 0 ? len : 1);
    if (exact == NULL) abort();
    memcpy(exact, text, len);
    enum json_found found = json_number(len > 0 ? exact : exact + 1, len, "n", number);
    free(exact);
    return found;
}

int main(void) {
    int failed = 0;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        double number = 0;
        enum json_found found = look(CASES[i].text, strlen(CASES[i].text), &number);
        if (found != CASES[i].found || fabs(number - CASES[i].number) > 0) {
            printf("not so: %s: %s gives %d, %g\n", CASES[i].promise, CASES[i].text, found, number);
            failed++;
        }
        /* However it is broken off, it is read to its end and no further. */
        for (size_t len = 0; len < strlen(CASES[i].text); len++) look(CASES[i].text, len, &number);
    }
    return failed;
}
