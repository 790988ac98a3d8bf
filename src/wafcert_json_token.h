
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_JSON_TOKEN_H_INCLUDED_
#define _WAFCERT_JSON_TOKEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_verdict.h"


/* What an IAM service (Keystone v3) tells of a token that is valid. */

typedef struct {
    ngx_str_t              project;       /* id; empty: not a project's */
    ngx_str_t              user;          /* name; empty: it is not told */
    int64_t                expires;       /* seconds since 1970 UTC */

    void                  *root;          /* what the strings belong to */
} wafcert_token_t;


/*
 * Reads the answer to GET /v3/auth/tokens.  Strings are as the service sent
 * them: any UTF-8, of any length.  Not for a thread, as wafcert_json_upload().
 *
 * NGX_OK: "token" must be freed.
 * NGX_DECLINED: it is no such answer; the verdict's sentence is for a log.
 * NGX_ERROR: no memory.
 */
ngx_int_t wafcert_json_token(wafcert_token_t *token, const ngx_str_t *answer,
    wafcert_verdict_t *verdict);
void wafcert_json_token_free(wafcert_token_t *token);

/* Whether the token has the role; NULL: any role. */
ngx_uint_t wafcert_json_token_role(const wafcert_token_t *token,
    const ngx_str_t *role);


#endif /* _WAFCERT_JSON_TOKEN_H_INCLUDED_ */
