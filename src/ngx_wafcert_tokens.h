
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_TOKENS_H_INCLUDED_
#define _NGX_WAFCERT_TOKENS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_store.h"


/*
 * What an IAM service said of tokens, for all workers.  A token is known by
 * its HMAC under a key that is the zone's own and is made with it, so nothing
 * in the zone can be looked up or tried outside.  The room is taken with the
 * zone, a small part of it, and what was used least goes first.
 */


#define NGX_WAFCERT_PROJECT_LEN      64
#define NGX_WAFCERT_USER_LEN         64

#define NGX_WAFCERT_REFUSED_MAX_AGE  2000     /* ms */


typedef struct ngx_wafcert_tokens_s  ngx_wafcert_tokens_t;


typedef struct {
    int64_t                expires;     /* seconds since 1970 UTC */
    unsigned               valid:1;     /* 0: it was refused */
    unsigned               read:1;
    unsigned               write:1;
    u_char                 project_len;
    u_char                 user_len;
    u_char                 project[NGX_WAFCERT_PROJECT_LEN];
    u_char                 user[NGX_WAFCERT_USER_LEN];
} ngx_wafcert_grant_t;


/* Makes an empty table in a zone of "size" bytes; NULL: no memory. */
ngx_wafcert_tokens_t *ngx_wafcert_tokens_make_locked(ngx_slab_pool_t *shpool,
    size_t size);

/*
 * By what the token is known, WAFCERT_SHA256_LEN bytes.  Grants are found
 * again under the same "scope" only.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_wafcert_tokens_digest(ngx_wafcert_store_t *store,
    wafcert_validator_t *validator, const ngx_str_t *scope,
    const ngx_str_t *token, u_char *digest);

/*
 * NGX_OK: it was said less than "max_age" ms ago (and not longer than
 * NGX_WAFCERT_REFUSED_MAX_AGE, if it was refused), and the token has not
 * expired since.  Otherwise NGX_DECLINED.
 */
ngx_int_t ngx_wafcert_tokens_find(ngx_wafcert_store_t *store,
    const u_char *digest, ngx_msec_t max_age, ngx_wafcert_grant_t *grant);
void ngx_wafcert_tokens_add(ngx_wafcert_store_t *store, const u_char *digest,
    const ngx_wafcert_grant_t *grant);


#endif /* _NGX_WAFCERT_TOKENS_H_INCLUDED_ */
