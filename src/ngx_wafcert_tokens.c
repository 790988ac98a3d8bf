
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_tokens.h"
#include "ngx_wafcert_zone.h"
#include <openssl/rand.h>


/* the part of a zone that is for tokens: 1/64 */
#define NGX_WAFCERT_TOKENS_SHARE  64

/*
 * Places that a token may have.  The second half is for refused ones, so that
 * no number of wrong tokens takes the room of the right ones.
 */
#define NGX_WAFCERT_TOKENS_WAYS   8


typedef struct {
    u_char                digest[WAFCERT_SHA256_LEN];   /* 0: free */
    uint64_t              used;         /* when, by the table's clock */
    ngx_msec_t            time;         /* when it was said */
    ngx_wafcert_grant_t   grant;
} ngx_wafcert_token_t;


/* in shared memory */

struct ngx_wafcert_tokens_s {
    u_char                key[WAFCERT_SHA256_LEN];
    uint64_t              clock;        /* of uses */
    ngx_uint_t            sets;
    ngx_wafcert_token_t   tokens[1];    /* of a set, and another one, ... */
};


static ngx_wafcert_token_t *ngx_wafcert_tokens_find_locked(
    ngx_wafcert_tokens_t *table, const u_char *digest);
static ngx_wafcert_token_t *ngx_wafcert_tokens_set(
    ngx_wafcert_tokens_t *table, const u_char *digest);
static ngx_wafcert_token_t *ngx_wafcert_tokens_place_locked(
    ngx_wafcert_tokens_t *table, const u_char *digest, ngx_uint_t valid);
static ngx_uint_t ngx_wafcert_tokens_fresh(ngx_wafcert_token_t *token,
    ngx_msec_t max_age);


ngx_wafcert_tokens_t *
ngx_wafcert_tokens_make_locked(ngx_slab_pool_t *shpool, size_t size)
{
    size_t                 set;
    ngx_uint_t             sets;
    ngx_wafcert_tokens_t  *table;

    set = NGX_WAFCERT_TOKENS_WAYS * sizeof(ngx_wafcert_token_t);
    sets = ngx_max(size / NGX_WAFCERT_TOKENS_SHARE / set, 1);

    table = ngx_slab_calloc_locked(shpool,
                                   offsetof(ngx_wafcert_tokens_t, tokens)
                                   + sets * set);
    if (table == NULL) {
        return NULL;
    }

    if (RAND_bytes(table->key, sizeof(table->key)) != 1) {
        ngx_slab_free_locked(shpool, table);
        return NULL;
    }

    table->sets = sets;

    return table;
}


ngx_int_t
ngx_wafcert_tokens_digest(ngx_wafcert_store_t *store,
    wafcert_validator_t *validator, const ngx_str_t *scope,
    const ngx_str_t *token, u_char *digest)
{
    ngx_str_t  key, parts[2];

    key.data = store->sh->tokens->key;
    key.len = sizeof(store->sh->tokens->key);

    parts[0] = *scope;
    parts[1] = *token;

    return wafcert_hmac_sha256(validator, &key, parts, 2, digest);
}


ngx_int_t
ngx_wafcert_tokens_find(ngx_wafcert_store_t *store, const u_char *digest,
    ngx_msec_t max_age, ngx_wafcert_grant_t *grant)
{
    ngx_int_t              rc;
    ngx_wafcert_token_t   *token;
    ngx_wafcert_tokens_t  *table;

    rc = NGX_DECLINED;

    ngx_wafcert_zone_lock(store);

    table = store->sh->tokens;
    token = ngx_wafcert_tokens_find_locked(table, digest);

    if (token && ngx_wafcert_tokens_fresh(token, max_age)) {
        token->used = ++table->clock;
        *grant = token->grant;
        rc = NGX_OK;
    }

    ngx_wafcert_zone_unlock(store);

    return rc;
}


static ngx_wafcert_token_t *
ngx_wafcert_tokens_find_locked(ngx_wafcert_tokens_t *table,
    const u_char *digest)
{
    ngx_uint_t            i;
    ngx_wafcert_token_t  *token;

    token = ngx_wafcert_tokens_set(table, digest);

    for (i = 0; i < NGX_WAFCERT_TOKENS_WAYS; i++) {
        if (ngx_memcmp(token[i].digest, digest, WAFCERT_SHA256_LEN) == 0) {
            return &token[i];
        }
    }

    return NULL;
}


static ngx_wafcert_token_t *
ngx_wafcert_tokens_set(ngx_wafcert_tokens_t *table, const u_char *digest)
{
    uint64_t  n;

    ngx_memcpy(&n, digest, sizeof(n));

    return &table->tokens[n % table->sets * NGX_WAFCERT_TOKENS_WAYS];
}


static ngx_uint_t
ngx_wafcert_tokens_fresh(ngx_wafcert_token_t *token, ngx_msec_t max_age)
{
    if (token->grant.valid) {

        if (token->grant.expires <= (int64_t) ngx_time()) {
            return 0;
        }

    } else {
        max_age = ngx_min(max_age, NGX_WAFCERT_REFUSED_MAX_AGE);
    }

    /* another worker may be some ms ahead */

    return (ngx_msec_int_t) (ngx_current_msec - token->time)
           < (ngx_msec_int_t) max_age;
}


/*
 * A process may be killed between any two instructions, and leave a part of
 * an entry.  As long as its digest is not whole, nobody takes it for his.
 */

void
ngx_wafcert_tokens_add(ngx_wafcert_store_t *store, const u_char *digest,
    const ngx_wafcert_grant_t *grant)
{
    ngx_wafcert_token_t   *token;
    ngx_wafcert_tokens_t  *table;

    ngx_wafcert_zone_lock(store);

    table = store->sh->tokens;
    token = ngx_wafcert_tokens_place_locked(table, digest, grant->valid);

    ngx_memzero(token->digest, WAFCERT_SHA256_LEN);
    ngx_memory_barrier();

    token->grant = *grant;
    token->time = ngx_current_msec;
    token->used = ++table->clock;

    ngx_memory_barrier();
    ngx_memcpy(token->digest, digest, WAFCERT_SHA256_LEN);

    ngx_wafcert_zone_unlock(store);
}


/* its own, or else that of the one of its kind that was used least */

static ngx_wafcert_token_t *
ngx_wafcert_tokens_place_locked(ngx_wafcert_tokens_t *table,
    const u_char *digest, ngx_uint_t valid)
{
    ngx_uint_t            i;
    ngx_wafcert_token_t  *token, *oldest;

    token = ngx_wafcert_tokens_find_locked(table, digest);
    if (token) {
        return token;
    }

    token = ngx_wafcert_tokens_set(table, digest);

    if (!valid) {
        token += NGX_WAFCERT_TOKENS_WAYS / 2;
    }

    oldest = token;

    for (i = 1; i < NGX_WAFCERT_TOKENS_WAYS / 2; i++) {
        if (token[i].used < oldest->used) {
            oldest = &token[i];
        }
    }

    return oldest;
}
