
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

/* in the order in which they came */
static ngx_queue_t  ngx_http_wafcert_lines = { &ngx_http_wafcert_lines,
                                               &ngx_http_wafcert_lines };


static ngx_int_t ngx_http_wafcert_trial_sign(EVP_MD_CTX *md, EVP_PKEY *key,
    X509 *leaf);
static ngx_int_t ngx_http_wafcert_trial_sign_digest(EVP_PKEY_CTX *private,
    EVP_PKEY_CTX *public);
static void ngx_http_wafcert_trial_turn(ngx_event_t *ev);
static void ngx_http_wafcert_trial_thread(void *data, ngx_log_t *log);
static void ngx_http_wafcert_trial_free(void *data);
static ngx_int_t ngx_http_wafcert_try_start(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_try_thread(void *data, ngx_log_t *log);
static void ngx_http_wafcert_try_done(ngx_event_t *ev);
static ngx_http_wafcert_line_t *ngx_http_wafcert_line_find(ngx_queue_t *q,
    const ngx_str_t *project);


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
ngx_http_wafcert_trial_is_dear(const wafcert_facts_t *facts)
{
    ngx_int_t         bits;
    const ngx_str_t  *type;

    type = &facts->cert_type;
    bits = 0;

    if (facts->type == WAFCERT_TYPE_RSA) {
        bits = ngx_atoi(type->data + sizeof("RSA-") - 1,
                        type->len - (sizeof("RSA-") - 1));
    }

    return bits > NGX_HTTP_WAFCERT_TRIAL_BITS
           || ngx_http_wafcert_trial_is_large(&facts->chain[0].der);
}


ngx_uint_t
ngx_http_wafcert_trial_is_slow(const ngx_http_wafcert_identity_t *identity)
{
    return identity->large
           || (EVP_PKEY_is_a(identity->key, "RSA")
               && EVP_PKEY_get_bits(identity->key)
                  > NGX_HTTP_WAFCERT_TRIAL_BITS);
}


ngx_http_wafcert_trial_t *
ngx_http_wafcert_trial_start(ngx_http_wafcert_trial_t *trial)
{
    ngx_pool_t                *pool;
    ngx_thread_task_t         *task;
    ngx_pool_cleanup_t        *cln;
    ngx_http_wafcert_trial_t  *copy;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    task = ngx_thread_task_alloc(pool, sizeof(ngx_http_wafcert_trial_t));
    cln = ngx_pool_cleanup_add(pool, 0);

    if (task == NULL || cln == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    copy = task->ctx;
    *copy = *trial;

    copy->entry.project.data = copy->entry.name;
    copy->task = task;
    copy->pool = pool;

    (void) EVP_PKEY_up_ref(copy->key);
    (void) X509_up_ref(copy->leaf);

    cln->handler = ngx_http_wafcert_trial_free;
    cln->data = copy;

    task->handler = ngx_http_wafcert_trial_thread;
    task->event.handler = trial->handler;
    task->event.data = copy;

    copy->turn.handler = ngx_http_wafcert_trial_turn;
    copy->turn.data = copy;
    copy->turn.log = ngx_cycle->log;

    if (ngx_http_wafcert_line_join(&copy->line, &copy->entry.project,
                                   &copy->turn)
        == NGX_OK
        && ngx_thread_task_post(copy->threads, task) != NGX_OK)
    {
        ngx_http_wafcert_trial_end(copy);
        return NULL;
    }

    return copy;
}


static void
ngx_http_wafcert_trial_turn(ngx_event_t *ev)
{
    ngx_http_wafcert_trial_t *trial = ev->data;

    if (ngx_thread_task_post(trial->threads, trial->task) != NGX_OK) {
        trial->rc = NGX_ERROR;
        trial->handler(&trial->task->event);
    }
}


void
ngx_http_wafcert_trial_end(ngx_http_wafcert_trial_t *trial)
{
    if (trial->turn.posted) {
        ngx_delete_posted_event(&trial->turn);
    }

    ngx_http_wafcert_line_leave(&trial->line);
    ngx_destroy_pool(trial->pool);
}


void
ngx_http_wafcert_trial_forget(ngx_http_wafcert_trial_t *trial)
{
    (void) ngx_wafcert_store_trying(trial->store, &trial->entry, 0);

    if (!trial->task->event.active) {
        ngx_http_wafcert_trial_end(trial);
    }
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
 * its host need not wait for that.  One that fails is found out there; and so
 * is one that others of its project have left no time for.
 */

ngx_int_t
ngx_http_wafcert_try(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_event_t  *rev;

    if (ctx->tried || !ngx_http_wafcert_trial_is_dear(ctx->change.facts)
        || ngx_http_wafcert_project_view(r, &ctx->project, NULL) == NULL)
    {
        return NGX_DECLINED;
    }

    if ((ngx_msec_int_t) (ctx->deadline - ngx_current_msec) > 0) {

        if (ngx_http_wafcert_line_join(&ctx->line, &ctx->project, &ctx->event)
            == NGX_OK)
        {
            if (ngx_http_wafcert_try_start(r, ctx) == NGX_OK) {
                return NGX_DONE;
            }

        } else {
            ngx_add_timer(&ctx->event, ctx->deadline - ngx_current_msec);

            /* whose client goes away leaves the line */

            r->read_event_handler = ngx_http_test_reading;
            rev = r->connection->read;

            if (rev->pending_eof) {
                ngx_post_event(rev, &ngx_posted_events);
            }

            return NGX_DONE;
        }
    }

    ngx_http_wafcert_line_leave(&ctx->line);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_wafcert_try_start(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_thread_task_t             *task;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);

    task = ctx->trial;

    if (task == NULL) {
        task = ngx_thread_task_alloc(r->pool,
                                     sizeof(ngx_http_wafcert_ctx_t *));
        if (task == NULL) {
            return NGX_ERROR;
        }

        *(ngx_http_wafcert_ctx_t **) task->ctx = ctx;

        task->handler = ngx_http_wafcert_try_thread;
        task->event.handler = ngx_http_wafcert_try_done;
        task->event.data = ctx;
        task->event.log = r->connection->log;

        ctx->trial = task;
    }

    if (ngx_thread_task_post(wmcf->threads, task) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_add_timer(&task->event, NGX_HTTP_WAFCERT_TRIAL_TIMER);

    r->read_event_handler = ngx_http_block_reading;
    r->main->blocked++;
    r->aio = 1;

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
    ngx_http_request_t      *r;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_add_timer(ev, NGX_HTTP_WAFCERT_TRIAL_TIMER);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    r->main->blocked--;
    r->aio = 0;

    ctx->tried = 1;
    ngx_http_wafcert_line_leave(&ctx->line);

    ctx->event.handler(&ctx->event);
}


ngx_int_t
ngx_http_wafcert_line_join(ngx_http_wafcert_line_t *line,
    const ngx_str_t *project, ngx_event_t *event)
{
    if (!line->queued) {
        line->project = *project;
        line->event = event;
        line->queued = 1;
        line->first = (ngx_http_wafcert_line_find(&ngx_http_wafcert_lines,
                                                  project)
                       == NULL);

        ngx_queue_insert_tail(&ngx_http_wafcert_lines, &line->queue);
    }

    return line->first ? NGX_OK : NGX_AGAIN;
}


void
ngx_http_wafcert_line_leave(ngx_http_wafcert_line_t *line)
{
    ngx_http_wafcert_line_t  *next;

    if (!line->queued) {
        return;
    }

    if (line->first) {
        next = ngx_http_wafcert_line_find(&line->queue, &line->project);

        if (next) {
            next->first = 1;
            ngx_post_event(next->event, &ngx_posted_next_events);
        }
    }

    ngx_queue_remove(&line->queue);
    line->queued = 0;
}


/* the first one of the project behind "q" */

static ngx_http_wafcert_line_t *
ngx_http_wafcert_line_find(ngx_queue_t *q, const ngx_str_t *project)
{
    ngx_http_wafcert_line_t  *line;

    for (q = ngx_queue_next(q);
         q != ngx_queue_sentinel(&ngx_http_wafcert_lines);
         q = ngx_queue_next(q))
    {
        line = ngx_queue_data(q, ngx_http_wafcert_line_t, queue);

        if (line->project.len == project->len
            && ngx_memcmp(line->project.data, project->data, project->len)
               == 0)
        {
            return line;
        }
    }

    return NULL;
}
