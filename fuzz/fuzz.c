
/*
 * Copyright (C) The wafcert authors
 */


#include "fuzz.h"


/* So many characters of base64 in a row are no word of ours. */
#define FUZZ_SPAN  24


static long fuzz_clock(void);
static void fuzz_silent(const char *text, const ngx_str_t *secret);
static ngx_uint_t fuzz_base64(u_char c);


void
fuzz_fail(const char *file, int line, const char *condition)
{
    (void) fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    abort();
}


/* The best of three runs: others use the processor and its caches, too. */

void
fuzz_timed(void (*work)(const ngx_str_t *text), const ngx_str_t *text)
{
    long        start;
    ngx_uint_t  i;

    for (i = 0; i < 3; i++) {
        start = fuzz_clock();
        work(text);

        if (fuzz_clock() - start <= FUZZ_LIMIT) {
            return;
        }
    }

    fuzz_fail(__FILE__, __LINE__, "it is done in time");
}


static long
fuzz_clock(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


ngx_int_t
fuzz_validate(wafcert_validator_t *validator, wafcert_bundle_t *bundle,
    const ngx_str_t *content, const ngx_str_t *key,
    const wafcert_policy_t *policy, int64_t now, wafcert_verdict_t *verdict)
{
    ngx_int_t         rc;
    ngx_uint_t        turns;
    wafcert_policy_t  patient;

    patient = *policy;
    patient.patient = 1;
    turns = 0;

    do {
        rc = wafcert_validate(validator, bundle, content, key, &patient, now,
                              verdict);
        fuzz_assert(++turns < 200);

    } while (rc == NGX_AGAIN);

    return rc;
}


void
fuzz_refusal(const wafcert_verdict_t *verdict, const ngx_str_t *secret)
{
    size_t       len;
    u_char      *text;
    json_t      *root;
    const char  *reason;

    fuzz_assert(verdict->reason > WAFCERT_OK
                && verdict->reason < WAFCERT_REASONS);
    fuzz_assert(verdict->message[0]);

    fuzz_silent(verdict->message, secret);
    fuzz_silent(verdict->hint, secret);

    len = wafcert_json_error(NULL, verdict);
    text = malloc(len);
    fuzz_assert(text);
    fuzz_assert(wafcert_json_error(text, verdict) == len);

    root = fuzz_json(text, len);
    reason = json_string_value(json_object_get(root, "reason"));
    fuzz_assert(reason
                && strcmp(reason, wafcert_reason(verdict->reason)->slug) == 0);

    json_decref(root);
    free(text);
}


/* Base64 is compared whatever divides it into lines. */

static void
fuzz_silent(const char *text, const ngx_str_t *secret)
{
    size_t   i, n, len;
    u_char  *digits;

    digits = malloc(secret->len + 1);
    fuzz_assert(digits);

    len = 0;

    for (i = 0; i < secret->len; i++) {
        if (fuzz_base64(secret->data[i])) {
            digits[len++] = secret->data[i];
        }
    }

    n = 0;

    for (i = 0; text[i]; i++) {
        n = fuzz_base64((u_char) text[i]) ? n + 1 : 0;

        fuzz_assert(n < FUZZ_SPAN
                    || memmem(digits, len, text + i + 1 - FUZZ_SPAN, FUZZ_SPAN)
                       == NULL);
    }

    free(digits);
}


static ngx_uint_t
fuzz_base64(u_char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z') || c == '+' || c == '/';
}


json_t *
fuzz_json(const u_char *text, size_t len)
{
    json_t  *root;

    root = json_loadb((const char *) text, len,
                      JSON_REJECT_DUPLICATES|JSON_ALLOW_NUL, NULL);
    fuzz_assert(root);

    return root;
}
