
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include "wafcert_json.h"


/* What every target needs: the fuzzer's interface, and oracles. */


/*
 * No input may keep a worker for more than 50 ms of processor time, which the
 * replay (see Makefile) checks.  Under the sanitizers the same takes two to
 * five times as long.
 */
#ifndef FUZZ_LIMIT
#define FUZZ_LIMIT  250
#endif


#define fuzz_assert(condition)                                                \
    if (!(condition)) {                                                       \
        fuzz_fail(__FILE__, __LINE__, #condition);                            \
    }


int LLVMFuzzerTestOneInput(const u_char *data, size_t size);
size_t LLVMFuzzerMutate(u_char *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(u_char *data, size_t size, size_t max,
    unsigned int seed);

void fuzz_fail(const char *file, int line, const char *condition)
    __attribute__((noreturn));

/* Fails where the work on "text" takes longer than the limit. */
void fuzz_timed(void (*work)(const ngx_str_t *text), const ngx_str_t *text);

/*
 * wafcert_validate(), in as many turns as it takes: what is verified does not
 * depend on time.
 */
ngx_int_t fuzz_validate(wafcert_validator_t *validator,
    wafcert_bundle_t *bundle, const ngx_str_t *content, const ngx_str_t *key,
    const wafcert_policy_t *policy, int64_t now, wafcert_verdict_t *verdict);

/*
 * A refusal has a reason and a sentence, makes a JSON document, and tells
 * nothing of what is secret.
 */
void fuzz_refusal(const wafcert_verdict_t *verdict, const ngx_str_t *secret);

/* Must be valid JSON; to be json_decref()ed. */
json_t *fuzz_json(const u_char *text, size_t len);


#endif /* _FUZZ_H_INCLUDED_ */
