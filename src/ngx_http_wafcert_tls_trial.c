
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert_tls.h"
#include "wafcert_der.h"
#include "wafcert_probe.h"


/*
 * What takes above 2 ms is done in a thread: a signature of 3072 bits takes
 * OpenSSL 3.0 so long, one of 2048 a third of that, or less.
 */

#define NGX_HTTP_WAFCERT_TRIAL_BITS  2048

/*
 * Elements of a leaf's DER: of so many, a name for each, loading leaves
 * a signature of P-384 1.3 ms; of as many as an upload may have, it takes
 * nearly 2 ms.
 */

#define NGX_HTTP_WAFCERT_TRIAL_ELEMENTS  2000

/* a worker that shuts down waits for timers */
#define NGX_HTTP_WAFCERT_TRIAL_TIMER  60000


static const u_char  ngx_http_wafcert_trial_text[] = "wafcert has signed this";


static ngx_int_t ngx_http_wafcert_trial_sign(EVP_MD_CTX *md, EVP_PKEY *key,
    X509 *leaf);
static ngx_int_t ngx_http_wafcert_trial_sign_digest(EVP_PKEY_CTX *private,
    EVP_PKEY_CTX *public);
static void ngx_http_wafcert_trial_thread(void *data, ngx_log_t *log);
static void ngx_http_wafcert_trial_free(void *data);
static void ngx_http_wafcert_try_thread(void *data, ngx_log_t *log);
static void ngx_http_wafcert_try_done(ngx_event_t *ev);


ngx_int_t
ngx_http_wafcert_trial(EVP_PKEY *key, X509 *leaf)
{
    ngx_int_t      rc;
    EVP_MD_CTX    *md;
    EVP_PKEY_CTX  *private, *public;

    /* the one signature that has no digest of its own */

    if (EVP_PKEY_is_a(key, "ED25519")) {
        md = EVP_MD_CTX_new();

        rc = md ? ngx_http_wafcert_trial_sign(md, key, leaf) : NGX_ERROR;

        EVP_MD_CTX_free(md);

        return rc;
    }

    private = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    public = EVP_PKEY_CTX_new_from_pkey(NULL, X509_get0_pubkey(leaf), NULL);

    rc = (private && public)
         ? ngx_http_wafcert_trial_sign_digest(private, public) : NGX_ERROR;

    EVP_PKEY_CTX_free(private);
    EVP_PKEY_CTX_free(public);

    return rc;
}


static ngx_int_t
ngx_http_wafcert_trial_sign(EVP_MD_CTX *md, EVP_PKEY *key, X509 *leaf)
{
    size_t  len;
    u_char  signature[64];

    len = sizeof(signature);

    if (EVP_DigestSignInit(md, NULL, NULL, NULL, key) != 1
        || EVP_DigestSign(md, signature, &len, ngx_http_wafcert_trial_text,
                          sizeof(ngx_http_wafcert_trial_text))
           != 1)
    {
        return NGX_ERROR;
    }

    (void) EVP_MD_CTX_reset(md);

    if (EVP_DigestVerifyInit(md, NULL, NULL, NULL, X509_get0_pubkey(leaf))
        != 1
        || EVP_DigestVerify(md, signature, len, ngx_http_wafcert_trial_text,
                            sizeof(ngx_http_wafcert_trial_text))
           != 1)
    {
        ERR_raise(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* no hash function is asked for, which the smallest keys had no room for */

static ngx_int_t
ngx_http_wafcert_trial_sign_digest(EVP_PKEY_CTX *private,
    EVP_PKEY_CTX *public)
{
    size_t  len;
    u_char  signature[WAFCERT_RSA_MAX_BITS / 8];

    len = sizeof(signature);

    if (EVP_PKEY_sign_init(private) != 1
        || EVP_PKEY_sign(private, signature, &len,
                         ngx_http_wafcert_trial_text,
                         sizeof(ngx_http_wafcert_trial_text))
           != 1)
    {
        return NGX_ERROR;
    }

    if (EVP_PKEY_verify_init(public) != 1
        || EVP_PKEY_verify(public, signature, len,
                           ngx_http_wafcert_trial_text,
                           sizeof(ngx_http_wafcert_trial_text))
           != 1)
    {
        ERR_raise(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_wafcert_trial_is_large(const ngx_str_t *der)
{
    return wafcert_der_count(der) > NGX_HTTP_WAFCERT_TRIAL_ELEMENTS;
}


ngx_uint_t
ngx_http_wafcert_trial_is_slow(const ngx_http_wafcert_identity_t *identity)
{
    return identity->large
           || (EVP_PKEY_is_a(identity->key, "RSA")
               && EVP_PKEY_get_bits(identity->key)
                  > NGX_HTTP_WAFCERT_TRIAL_BITS);
}


ngx_int_t
ngx_http_wafcert_trial_start(ngx_thread_pool_t *threads,
    ngx_http_wafcert_trial_t *trial)
{
    ngx_pool_t                *pool;
    ngx_thread_task_t         *task;
    ngx_pool_cleanup_t        *cln;
    ngx_http_wafcert_trial_t  *copy;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    task = ngx_thread_task_alloc(pool, sizeof(ngx_http_wafcert_trial_t));
    cln = ngx_pool_cleanup_add(pool, 0);

    if (task == NULL || cln == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    copy = task->ctx;
    *copy = *trial;

    copy->pool = pool;

    (void) EVP_PKEY_up_ref(copy->key);
    (void) X509_up_ref(copy->leaf);

    cln->handler = ngx_http_wafcert_trial_free;
    cln->data = copy;

    task->handler = ngx_http_wafcert_trial_thread;
    task->event.handler = trial->handler;
    task->event.data = copy;

    if (ngx_thread_task_post(threads, task) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* OpenSSL's errors are the thread's own */

static void
ngx_http_wafcert_trial_thread(void *data, ngx_log_t *log)
{
    ngx_http_wafcert_trial_t *trial = data;

    ERR_clear_error();

    trial->rc = ngx_http_wafcert_trial(trial->key, trial->leaf);
    trial->error = ERR_peek_last_error();

    ERR_clear_error();
}


static void
ngx_http_wafcert_trial_free(void *data)
{
    ngx_http_wafcert_trial_t *trial = data;

    EVP_PKEY_free(trial->key);
    X509_free(trial->leaf);
}


/*
 * What takes long at a handshake is tried before an upload is in force, so that
 * its host need not wait for that.  One that fails is found out there.
 */

ngx_int_t
ngx_http_wafcert_try(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                      bits;
    ngx_str_t                      type;
    ngx_thread_task_t             *task;
    const wafcert_facts_t         *facts;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);

    facts = ctx->change.facts;
    type = facts->cert_type;
    bits = 0;

    if (facts->type == WAFCERT_TYPE_RSA) {
        bits = ngx_atoi(type.data + sizeof("RSA-") - 1,
                        type.len - (sizeof("RSA-") - 1));
    }

    if ((bits <= NGX_HTTP_WAFCERT_TRIAL_BITS
         && !ngx_http_wafcert_trial_is_large(&facts->chain[0].der))
        || ngx_http_wafcert_project_view(r, &ctx->project, NULL) == NULL)
    {
        return NGX_DECLINED;
    }

    task = ngx_thread_task_alloc(r->pool, sizeof(ngx_http_wafcert_ctx_t *));
    if (task == NULL) {
        return NGX_DECLINED;
    }

    *(ngx_http_wafcert_ctx_t **) task->ctx = ctx;

    task->handler = ngx_http_wafcert_try_thread;
    task->event.handler = ngx_http_wafcert_try_done;
    task->event.data = ctx;
    task->event.log = r->connection->log;

    if (ngx_thread_task_post(wmcf->threads, task) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_add_timer(&task->event, NGX_HTTP_WAFCERT_TRIAL_TIMER);

    return NGX_OK;
}


/* the request is held, and nothing of the upload changes meanwhile */

static void
ngx_http_wafcert_try_thread(void *data, ngx_log_t *log)
{
    ngx_http_wafcert_ctx_t *ctx = *(ngx_http_wafcert_ctx_t **) data;

    X509             *leaf;
    EVP_PKEY         *key;
    const u_char     *p;
    const ngx_str_t  *der;

    ERR_clear_error();

    der = &ctx->change.facts->chain[0].der;
    p = der->data;

    leaf = d2i_X509(NULL, &p, (long) der->len);
    key = leaf ? wafcert_probe_key(ctx->change.key, leaf) : NULL;

    ctx->change.tried = (key && ngx_http_wafcert_trial(key, leaf) == NGX_OK);

    EVP_PKEY_free(key);
    X509_free(leaf);

    ERR_clear_error();
}


static void
ngx_http_wafcert_try_done(ngx_event_t *ev)
{
    ngx_http_wafcert_ctx_t *ctx = ev->data;

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_add_timer(ev, NGX_HTTP_WAFCERT_TRIAL_TIMER);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ctx->event.handler(&ctx->event);
}
