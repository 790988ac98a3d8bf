
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include "ngx_wafcert_sync.h"
#include <openssl/rand.h>


/* how long a change waits for another one of the same record, in ms */
#define NGX_HTTP_WAFCERT_WAIT  30000

#define NGX_HTTP_WAFCERT_POOL  1024

/* bytes of names: more need a turn of their own */
#define NGX_HTTP_WAFCERT_MANY_HOSTS  4096

/* identifiers that are made at once */
#define NGX_HTTP_WAFCERT_IDS   64


static void ngx_http_wafcert_body(ngx_http_request_t *r);
static void ngx_http_wafcert_proceed(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_change(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_go_on(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_wafcert_commit_done(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_wafcert_commit(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_committed(ngx_wafcert_commit_t *commit,
    ngx_int_t rc);
static ngx_int_t ngx_http_wafcert_prepare(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_prepare_create(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_new_id(u_char *id);
static ngx_int_t ngx_http_wafcert_prepare_modify(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_uint_t ngx_http_wafcert_judged(ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_judge_current(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_uint_t key);
static ngx_uint_t ngx_http_wafcert_same_chain(const wafcert_facts_t *new,
    const wafcert_facts_t *old);
static ngx_int_t ngx_http_wafcert_existing(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_done_change(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_done_later(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);


ngx_int_t
ngx_http_wafcert_write(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    ngx_http_wafcert_start(r, ctx, ngx_http_wafcert_proceed);

    if (ngx_http_wafcert_dry_run(r, ctx) != NGX_OK) {
        return ngx_http_wafcert_refuse(r);
    }

    if (ctx->call == NGX_HTTP_WAFCERT_DELETE) {

        rc = ngx_http_wafcert_discard_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        r->main->count++;
        ngx_http_wafcert_proceed(r, ctx);

        return NGX_DONE;
    }

    return ngx_http_wafcert_read_body(r, ngx_http_wafcert_body);
}


void
ngx_http_wafcert_start(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    ngx_http_wafcert_event_pt proceed)
{
    ngx_http_wafcert_set_event(r, ctx, proceed);
    ctx->deadline = ngx_current_msec + NGX_HTTP_WAFCERT_WAIT;
}


ngx_int_t
ngx_http_wafcert_dry_run(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_wafcert_arg_flag(r, "dry_run");

    if (rc == NGX_ERROR) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_DRY_RUN_ILLEGAL,
                              "the parameter dry_run is neither \"true\" nor "
                              "\"false\", or is there twice");
    }

    if (rc && ctx->call != NGX_HTTP_WAFCERT_CREATE
        && ctx->call != NGX_HTTP_WAFCERT_MODIFY)
    {
        (void) wafcert_refuse(&ctx->verdict, WAFCERT_DRY_RUN_ILLEGAL,
                              "the call has no dry run, so that it would be "
                              "made");
        wafcert_hint(&ctx->verdict, "dry_run is for create and modify");
        return NGX_DECLINED;
    }

    ctx->dry_run = rc;

    return NGX_OK;
}


static void
ngx_http_wafcert_body(ngx_http_request_t *r)
{
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    if (ngx_http_wafcert_upload(ctx) != NGX_OK) {
        ngx_http_finalize_request(r, ngx_http_wafcert_refuse(r));
        return;
    }

    ngx_http_wafcert_proceed(r, ctx);
}


ngx_int_t
ngx_http_wafcert_upload(ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = wafcert_json_upload(&ctx->upload, &ctx->body,
                             ctx->call == NGX_HTTP_WAFCERT_MODIFY,
                             &ctx->verdict);

    return (rc == NGX_ERROR) ? ngx_http_wafcert_no_memory(ctx) : rc;
}


/* judges until the change is made or refused */

static void
ngx_http_wafcert_proceed(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_wafcert_go_on(r, ctx, NGX_AGAIN);
}


static void
ngx_http_wafcert_go_on(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    ngx_int_t rc)
{
    while (rc == NGX_AGAIN) {
        rc = ngx_http_wafcert_change(r, ctx);
    }

    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_BUSY) {
        rc = ngx_http_wafcert_wait(r, ctx);

        if (rc == NGX_OK) {
            return;
        }
    }

    ngx_wafcert_wait_leave(&ctx->wait);
    ngx_http_wafcert_line_leave(&ctx->line);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_wafcert_refuse(r);
    }

    ngx_http_finalize_request(r, rc);
}


/*
 * NGX_AGAIN: another change came first, judge again.  NGX_BUSY: another one is
 * under way.  NGX_DONE: this one is being committed, or is to be judged
 * further, or its answer is yet to be made.  NGX_DECLINED: refused.
 * Otherwise what finalizes the request.
 */

static ngx_int_t
ngx_http_wafcert_change(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_wafcert_store_t          *store;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);
    store = wlcf->shm_zone->data;

    rc = ctx->prepared ? NGX_OK : ngx_http_wafcert_prepare(r, ctx);

    if (rc == NGX_AGAIN) {
        ngx_http_wafcert_next_turn(ctx);
        return NGX_DONE;
    }

    if (rc == NGX_ERROR) {
        return ngx_http_wafcert_no_memory(ctx);
    }

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    if (rc == NGX_DONE) {
        ngx_wafcert_wait_leave(&ctx->wait);
        ngx_http_wafcert_line_leave(&ctx->line);
        return ngx_http_wafcert_done(r, ctx, &ctx->current.record,
                                     &ctx->current.key);
    }

    /* what has many names was judged for long, and is reserved for long */

    if (!ctx->prepared && ctx->change.facts
        && ctx->change.facts->hosts.len > NGX_HTTP_WAFCERT_MANY_HOSTS)
    {
        ctx->prepared = 1;
        ngx_http_wafcert_next_turn(ctx);
        return NGX_DONE;
    }

    ctx->prepared = 1;

    rc = ngx_wafcert_store_date(store, &ctx->change, ctx->dry_run, r->pool);

    if (rc == NGX_ERROR) {
        return ngx_http_wafcert_no_memory(ctx);
    }

    if (rc == NGX_AGAIN) {
        ngx_http_wafcert_next_turn(ctx);
        return NGX_DONE;
    }

    rc = ngx_wafcert_store_reserve(store, &ctx->change, &ctx->verdict);

    ctx->prepared = (rc == NGX_OK || rc == NGX_BUSY);

    if (rc != NGX_OK) {
        ngx_http_wafcert_line_leave(&ctx->line);
    }

    if (rc == NGX_BUSY || rc == NGX_AGAIN) {
        return rc;
    }

    /* it has its turn, and the event is free for the answer */

    ngx_wafcert_wait_leave(&ctx->wait);

    if (rc == NGX_DONE) {
        return ngx_http_wafcert_existing(r, ctx);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->dry_run) {
        ngx_wafcert_store_cancel(store, &ctx->change);
        return ngx_http_wafcert_done_change(r, ctx);
    }

    /* what would be refused is not tried; nothing is reserved meanwhile */

    if (ctx->validated && ngx_http_wafcert_try(r, ctx) == NGX_DONE) {
        ngx_wafcert_store_cancel(store, &ctx->change);
        return NGX_DONE;
    }

    rc = ngx_http_wafcert_commit(r, ctx);

    if (rc == NGX_DONE) {
        r->main->blocked++;
        r->aio = 1;
        return NGX_DONE;
    }

    return ngx_http_wafcert_commit_done(r, ctx, rc);
}


static ngx_int_t
ngx_http_wafcert_commit(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ctx->commit.store = ctx->conf->shm_zone->data;
    ctx->commit.change = &ctx->change;
    ctx->commit.verdict = &ctx->verdict;
    ctx->commit.log = r->connection->log;
    ctx->commit.handler = ngx_http_wafcert_committed;
    ctx->commit.data = ctx;

    return ngx_wafcert_commit(&ctx->commit);
}


static ngx_int_t
ngx_http_wafcert_commit_done(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_int_t rc)
{
    return (rc == NGX_OK) ? ngx_http_wafcert_done_change(r, ctx) : rc;
}


/* the client may have gone: what was committed stays, and is told the log */

static void
ngx_http_wafcert_committed(ngx_wafcert_commit_t *commit, ngx_int_t rc)
{
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = commit->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;
    r->aio = 0;

    ngx_http_wafcert_go_on(r, ctx, ngx_http_wafcert_commit_done(r, ctx, rc));

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_wafcert_prepare(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    ctx->change.project = ctx->project;
    ctx->change.quota = wlcf->quota;
    ctx->change.quota_size = wlcf->quota_size;

    switch (ctx->call) {

    case NGX_HTTP_WAFCERT_CREATE:
        ctx->change.op = NGX_WAFCERT_CREATE;
        return ngx_http_wafcert_prepare_create(r, ctx);

    case NGX_HTTP_WAFCERT_MODIFY:
        ctx->change.op = NGX_WAFCERT_MODIFY;
        return ngx_http_wafcert_prepare_modify(r, ctx);

    default:
        ctx->change.op = NGX_WAFCERT_DELETE;
        return ngx_http_wafcert_judge_current(r, ctx, 0);
    }
}


static ngx_int_t
ngx_http_wafcert_prepare_create(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->name = ctx->upload.name;

    if (!ctx->validated) {
        rc = ngx_http_wafcert_judge_upload(r, ctx, &ctx->upload.content,
                                           &ctx->upload.key, 1);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ngx_http_wafcert_new_id(ctx->change.id) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "RAND_bytes() failed");
        return NGX_ERROR;
    }

    ctx->change.name = ctx->upload.name;
    ctx->change.timestamp = ngx_http_wafcert_now();
    ctx->change.version = 0;
    ctx->change.new_revision = 1;
    ctx->change.facts = &ctx->bundle.facts;
    ctx->change.key = &ctx->bundle.key;

    return NGX_OK;
}


/* a call of RAND_bytes() takes 2 us, however few the bytes */

static ngx_int_t
ngx_http_wafcert_new_id(u_char *id)
{
    static u_char      ids[NGX_HTTP_WAFCERT_IDS][NGX_WAFCERT_ID_LEN];
    static ngx_uint_t  left;

    if (left == 0) {

        if (RAND_bytes(ids[0], sizeof(ids)) != 1) {
            return NGX_ERROR;
        }

        left = NGX_HTTP_WAFCERT_IDS;
    }

    ngx_memcpy(id, ids[--left], NGX_WAFCERT_ID_LEN);

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_prepare_modify(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t  rc;
    ngx_str_t  content, key;

    rc = ngx_http_wafcert_judge_current(r, ctx, 1);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->upload.name.data) {
        ctx->change.name = ctx->upload.name;
        ctx->name = ctx->upload.name;
    }

    if (ctx->upload.content.data == NULL && ctx->upload.key.data == NULL) {

        ctx->change.facts = &ctx->current.facts;
        ctx->change.key = &ctx->current.key;

    } else {

        if (!ngx_http_wafcert_judged(ctx)) {

            if (ngx_http_wafcert_current_pem(r, ctx, &content, &key)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            rc = ngx_http_wafcert_judge_upload(r, ctx, &content, &key, 1);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        ctx->change.facts = &ctx->bundle.facts;
        ctx->change.key = &ctx->bundle.key;
    }

    return ngx_http_wafcert_changes_nothing(ctx) ? NGX_DONE : NGX_OK;
}


/* Another revision matters only by the half of the pair that it brings. */

static ngx_uint_t
ngx_http_wafcert_judged(ngx_http_wafcert_ctx_t *ctx)
{
    const wafcert_key_t  *new, *old;

    if (!ctx->validated) {
        return 0;
    }

    if (ctx->upload.content.data == NULL) {
        return ngx_http_wafcert_same_chain(&ctx->bundle.facts,
                                           &ctx->current.facts);
    }

    new = &ctx->bundle.key;
    old = &ctx->current.key;

    return ctx->upload.key.data != NULL
           || (new->type == old->type && new->der.len == old->der.len
               && ngx_memcmp(new->der.data, old->der.data, old->der.len) == 0);
}


static ngx_int_t
ngx_http_wafcert_judge_current(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_uint_t key)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *if_match;

    rc = ngx_http_wafcert_current(r, ctx, key);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_wafcert_about(ctx, &ctx->current.record);

    if_match = r->headers_in.if_match;

    if (if_match && !ngx_http_wafcert_etag_matches(&if_match->value,
                                               ctx->current.record.revision))
    {
        (void) wafcert_refuse(&ctx->verdict, WAFCERT_REVISION_MISMATCH,
                              "the certificate has revision %lu, which "
                              "If-Match does not name",
                              (unsigned long) ctx->current.record.revision);
        return NGX_DECLINED;
    }

    ctx->change.name = ctx->current.record.name;
    ctx->change.timestamp = ctx->current.record.timestamp;
    ctx->change.version = ctx->current.version;
    ctx->change.new_revision = ctx->current.record.revision + 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_wafcert_judge_upload(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_str_t *content, ngx_str_t *key,
    ngx_uint_t patient)
{
    ngx_int_t                      rc;
    wafcert_policy_t               policy;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);

    policy = ctx->conf->policy;

    /* where an edge records nothing, nothing of it is served */

    policy.served = (!ctx->conf->edge || ctx->conf->record)
                    && ngx_http_wafcert_project_view(r, &ctx->project,
                                                     NULL);

    /* an edge passes them on, and what is stored was accepted */

    policy.many_hosts = ctx->conf->edge;

    /* others may have made the validator forget what it had verified */

    policy.patient = patient && ctx->turns++ < NGX_HTTP_WAFCERT_TURNS;

    if (ctx->upload.content.data == NULL) {
        policy.max_hosts = 0;
        policy.max_rsa_bits = 0;
        policy.reject_untrusted = 0;
    }

    if (ctx->validated) {
        ctx->validated = 0;
        wafcert_bundle_free(&ctx->bundle);
    }

    rc = wafcert_validate(wmcf->validator, &ctx->bundle, content, key,
                          &policy, ngx_http_wafcert_now(), &ctx->verdict);

    ctx->validated = (rc == NGX_OK);
    ctx->tried = 0;
    ctx->change.tried = 0;

    return rc;
}


ngx_int_t
ngx_http_wafcert_current(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    ngx_uint_t key)
{
    if (ctx->pool) {

        if (ctx->name.data == ctx->current.record.name.data) {
            ngx_str_null(&ctx->name);
        }

        ngx_destroy_pool(ctx->pool);
    }

    ctx->pool = ngx_create_pool(NGX_HTTP_WAFCERT_POOL, r->connection->log);
    if (ctx->pool == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_wafcert_get(r, ctx, key, ctx->pool, &ctx->current);
}


ngx_int_t
ngx_http_wafcert_current_pem(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_str_t *content, ngx_str_t *key)
{
    u_char           *p;
    size_t            size;
    ngx_buf_t        *b;
    ngx_uint_t        i;
    wafcert_key_t    *k;
    wafcert_facts_t  *facts;

    k = &ctx->current.key;
    facts = &ctx->current.facts;

    *content = ctx->upload.content;
    *key = ctx->upload.key;

    size = wafcert_pem_size(k->type, k->der.len, "\n");

    for (i = 0; i < facts->nchain; i++) {
        size += wafcert_pem_size(WAFCERT_PEM_CERTIFICATE,
                                 facts->chain[i].der.len, "\n");
    }

    b = ngx_http_wafcert_buf(ctx->pool ? ctx->pool : r->pool, size, 1);
    if (b == NULL) {
        return NGX_ERROR;
    }

    p = b->start;

    if (key->data == NULL) {
        key->data = p;
        p = wafcert_pem_encode(p, k->type, &k->der, "\n");
        key->len = p - key->data;
    }

    if (content->data == NULL) {
        content->data = p;

        for (i = 0; i < facts->nchain; i++) {
            p = wafcert_pem_encode(p, WAFCERT_PEM_CERTIFICATE,
                                   &facts->chain[i].der, "\n");
        }

        content->len = p - content->data;
    }

    return NGX_OK;
}


/* there is but one key to a leaf, in whatever encoding it comes */

ngx_uint_t
ngx_http_wafcert_changes_nothing(ngx_http_wafcert_ctx_t *ctx)
{
    return ctx->change.name.len == ctx->current.record.name.len
           && ngx_memcmp(ctx->change.name.data, ctx->current.record.name.data,
                         ctx->change.name.len)
              == 0
           && ngx_http_wafcert_same_chain(ctx->change.facts,
                                          &ctx->current.facts);
}


static ngx_uint_t
ngx_http_wafcert_same_chain(const wafcert_facts_t *new,
    const wafcert_facts_t *old)
{
    ngx_uint_t  i;

    if (new->nchain != old->nchain) {
        return 0;
    }

    for (i = 0; i < new->nchain; i++) {
        if (ngx_memcmp(new->chain[i].sha256, old->chain[i].sha256,
                       WAFCERT_SHA256_LEN)
            != 0)
        {
            return 0;
        }
    }

    return 1;
}


/* a client that repeats its create, after a time-out perhaps */

static ngx_int_t
ngx_http_wafcert_existing(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_wafcert_current(r, ctx, 1);

    if (rc == NGX_DECLINED) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_wafcert_done(r, ctx, &ctx->current.record,
                                 &ctx->current.key);
}


ngx_int_t
ngx_http_wafcert_wait(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_wafcert_store_t  *store;

    store = ctx->conf->shm_zone->data;

    if ((ngx_msec_int_t) (ctx->deadline - ngx_current_msec) <= 0) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_COMMIT_TIMEOUT,
                              "another change of the certificate has not "
                              "ended for %d seconds, and nothing was changed",
                              NGX_HTTP_WAFCERT_WAIT / 1000);
    }

    /* or its worker is dead; all that look do so at once */

    if (store->swept != ngx_current_msec) {
        store->swept = ngx_current_msec;
        ngx_wafcert_sync_sweep(store, r->connection->log);
    }

    ngx_wafcert_wait(&ctx->wait, ctx->change.blocked, &ctx->event,
                     ctx->deadline);

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_done_change(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_wafcert_copy_t  *copy;

    copy = &ctx->current;

    if (ctx->call != NGX_HTTP_WAFCERT_DELETE) {

        ngx_http_wafcert_changed(ctx);
    }

    if (!ctx->dry_run) {
        ngx_http_wafcert_about(ctx, &copy->record);
        ngx_http_wafcert_audit(r, ctx, &copy->record);
    }

    return ngx_http_wafcert_done(r, ctx, &copy->record, &copy->key);
}


void
ngx_http_wafcert_changed(ngx_http_wafcert_ctx_t *ctx)
{
    ngx_wafcert_copy_t  *copy;

    copy = &ctx->current;

    ngx_hex_dump(copy->id, ctx->change.id, NGX_WAFCERT_ID_LEN);

    copy->record.id.len = sizeof(copy->id);
    copy->record.id.data = copy->id;
    copy->record.name = ctx->change.name;
    copy->record.timestamp = ctx->change.timestamp;
    copy->record.revision = ctx->change.new_revision;
    copy->record.unusable = 0;
    copy->record.facts = ctx->change.facts;
    copy->record.blocks = (ctx->change.facts == &ctx->bundle.facts)
                          ? ctx->bundle.blocks : NULL;
    copy->record.words = copy->record.blocks ? ctx->bundle.words : NULL;
    copy->key = *ctx->change.key;
}


ngx_int_t
ngx_http_wafcert_done(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    wafcert_record_t *record, const wafcert_key_t *key)
{
    size_t                        size;
    int64_t                       now;
    ngx_buf_t                    *b;
    ngx_uint_t                    parts, revision;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    now = ngx_http_wafcert_now();
    revision = record->revision;

    switch (ctx->call) {

    case NGX_HTTP_WAFCERT_CREATE:
        parts = WAFCERT_JSON_CONTENT|WAFCERT_JSON_DETAILS;

        if (wlcf->return_key == NGX_HTTP_WAFCERT_RETURN_KEY_NEVER) {
            key = NULL;
        }

        break;

    case NGX_HTTP_WAFCERT_MODIFY:
        parts = WAFCERT_JSON_DETAILS;
        key = NULL;
        break;

    default:
        parts = 0;
        key = NULL;
        revision = 0;
    }

    if ((parts & WAFCERT_JSON_DETAILS)
        && ngx_http_wafcert_serve_warnings(r, record) == NGX_AGAIN)
    {
        ngx_http_wafcert_set_event(r, ctx, ngx_http_wafcert_done_later);
        ngx_http_wafcert_next_turn(ctx);

        return NGX_DONE;
    }

    if (ctx->dry_run) {
        parts |= WAFCERT_JSON_DRY_RUN;
        revision = 0;

    } else {
        ngx_http_wafcert_about(ctx, record);
    }

    size = wafcert_json_certificate(NULL, record, key, parts, now);

    b = ngx_http_wafcert_buf(r->pool, size, key != NULL);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last += wafcert_json_certificate(b->last, record, key, parts, now);

    return ngx_http_wafcert_answer(r, b, revision);
}


static void
ngx_http_wafcert_done_later(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_wafcert_done(r, ctx, &ctx->current.record,
                               &ctx->current.key);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


void
ngx_http_wafcert_audit(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    const wafcert_record_t *record)
{
    static const char  *call[] = { "list", "show", "create", "modify",
                                   "delete" };

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "wafcert %s: project \"%V\", id %V, name \"%V\", "
                  "revision %ui, fingerprint %*s, token \"%V\"",
                  call[ctx->call], &ctx->project, &record->id, &record->name,
                  record->revision, (size_t) (2 * WAFCERT_SHA256_LEN),
                  ctx->fingerprint, &ctx->label);
}
