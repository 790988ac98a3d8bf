
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include "ngx_wafcert_flush.h"
#include "wafcert_json_answer.h"


/*
 * What the WAF behind an edge accepts is kept under the WAF's own id, and what
 * it no longer has is dropped: after the client has its answer.
 */


/* records that are looked at in one go */
#define NGX_HTTP_WAFCERT_RECORD_STEP  512

/* the error code of an id that the WAF does not have */
#define NGX_HTTP_WAFCERT_NO_RESOURCE  "WAF.00022001"


struct ngx_http_wafcert_record_s {
    ngx_http_wafcert_ctx_t  *ctx;
    wafcert_answer_t         said;
    wafcert_listing_t        listing;

    ngx_wafcert_scan_t       scan;        /* what there was before a list */
    ngx_array_t              gone;        /* ids, to be dropped */
    u_char                   id[NGX_WAFCERT_ID_LEN];
    wafcert_verdict_t        verdict;     /* of the first failure */
    ngx_int_t                rc;          /* what was heard */

    unsigned                 list:1;      /* a whole list was asked for */
    unsigned                 compare:1;   /* what to do: with "listing" */
    unsigned                 keep:1;      /* with the upload */
    unsigned                 failed:1;
    unsigned                 held:1;      /* the request, by us */
    unsigned                 terminated:1;  /* the request, meanwhile */
};


static ngx_uint_t ngx_http_wafcert_record_whole_list(ngx_http_request_t *r);
static ngx_uint_t ngx_http_wafcert_record_harmless(ngx_str_t *arg);
static ngx_int_t ngx_http_wafcert_record_room(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_record_cleanup(void *data);
static void ngx_http_wafcert_record_terminated(void *data);
static ngx_int_t ngx_http_wafcert_record_parse(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_str_t *text);
static ngx_uint_t ngx_http_wafcert_record_accepted(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_record_gone(ngx_http_wafcert_record_t *rec,
    u_char *id);
static void ngx_http_wafcert_record_event(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_record_go_on(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_wafcert_record_step(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_record_compare(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_record_drop(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_record_keep(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_record_fill(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_record_pair(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_uint_t known);
static ngx_int_t ngx_http_wafcert_record_change(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_record_failed(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_record_hold(ngx_http_request_t *r,
    ngx_http_wafcert_record_t *rec);
static void ngx_http_wafcert_record_release(ngx_http_request_t *r,
    ngx_http_wafcert_record_t *rec);


ngx_int_t
ngx_http_wafcert_record_prepare(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_cleanup_t           *hcln;
    ngx_pool_cleanup_t           *cln;
    ngx_http_wafcert_record_t    *rec;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_wafcert_record_t));
    hcln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL || hcln == NULL) {
        return NGX_ERROR;
    }

    rec = cln->data;
    ngx_memzero(rec, sizeof(ngx_http_wafcert_record_t));

    rec->ctx = ctx;
    cln->handler = ngx_http_wafcert_record_cleanup;

    hcln->handler = ngx_http_wafcert_record_terminated;
    hcln->data = rec;

    if (ngx_array_init(&rec->gone, r->pool, 1, NGX_WAFCERT_ID_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->call == NGX_HTTP_WAFCERT_LIST) {
        wlcf = ctx->conf;

        rec->list = ngx_http_wafcert_record_whole_list(r);
        rec->scan.project = ctx->project;
        rec->scan.exp_status = -1;

        /* what is uploaded from now on may be missing in it */

        ngx_wafcert_store_scan(wlcf->shm_zone->data, &rec->scan);
    }

    ctx->record = rec;

    /* whose token nobody has judged could take all that there is */

    return ctx->alone ? NGX_OK : ngx_http_wafcert_record_room(r, ctx);
}


/* others may fill the zone while the WAF is asked */

static ngx_int_t
ngx_http_wafcert_record_room(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_wafcert_change_t         *change;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ctx->conf;
    change = &ctx->change;

    if (ctx->call != NGX_HTTP_WAFCERT_CREATE
        && ctx->call != NGX_HTTP_WAFCERT_MODIFY)
    {
        return NGX_OK;
    }

    change->facts = &ctx->bundle.facts;
    change->key = &ctx->bundle.key;

    /* with another name a pair is put again */

    if (change->facts->nchain == 0 && change->key->der.len == 0) {

        rc = ngx_wafcert_store_get(wlcf->shm_zone->data, &ctx->project,
                                   change->id, 1, r->pool, &ctx->current);
        if (rc != NGX_OK) {
            return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
        }

        change->facts = &ctx->current.facts;
        change->key = &ctx->current.key;
    }

    if (change->facts->nchain == 0 || change->key->der.len == 0
        || change->facts->many_hosts)
    {
        return NGX_OK;
    }

    change->op = (ctx->call == NGX_HTTP_WAFCERT_CREATE) ? NGX_WAFCERT_CREATE
                                                        : NGX_WAFCERT_MODIFY;
    change->project = ctx->project;
    change->name = ctx->upload.name;
    change->quota = wlcf->quota;
    change->quota_size = wlcf->quota_size;

    ngx_wafcert_store_room(wlcf->shm_zone->data, change);

    return NGX_OK;
}


void
ngx_http_wafcert_unheard(ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ctx->conf;

    ngx_wafcert_store_room_free(wlcf->shm_zone->data, &ctx->change);
}


/*
 * A page tells by "total" whether it is all there is.  What other parameters
 * ask for is the WAF's secret, and may leave something out; and so may one
 * that the WAF takes apart in another way, at ";" or after it is decoded.
 */

static ngx_uint_t
ngx_http_wafcert_record_whole_list(ngx_http_request_t *r)
{
    u_char     *p, *last, *end;
    ngx_str_t   arg;

    end = r->args.data + r->args.len;

    for (p = r->args.data; p < end; p = last + 1) {

        last = ngx_strlchr(p, end, '&');
        if (last == NULL) {
            last = end;
        }

        arg.data = p;
        arg.len = last - p;

        if (arg.len && !ngx_http_wafcert_record_harmless(&arg)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_wafcert_record_harmless(ngx_str_t *arg)
{
    u_char      *p, *last;
    ngx_str_t    value;
    ngx_uint_t   i;

    static const char  *numbers[] = {
        "page=", "pagesize=", "pageSize=", "offset=", "limit="
    };

    if (ngx_http_wafcert_parameter(arg, "host=", &value)) {
        return (value.len == 4 && ngx_strncmp(value.data, "true", 4) == 0)
               || (value.len == 5 && ngx_strncmp(value.data, "false", 5) == 0);
    }

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {

        if (!ngx_http_wafcert_parameter(arg, numbers[i], &value)) {
            continue;
        }

        p = value.data;
        last = p + value.len;

        if (*p == '-') {
            p++;
        }

        while (p < last && *p >= '0' && *p <= '9') {
            p++;
        }

        return p == last;
    }

    return 0;
}


static void
ngx_http_wafcert_record_cleanup(void *data)
{
    ngx_http_wafcert_record_t  *rec = data;

    ngx_http_wafcert_unheard(rec->ctx);

    wafcert_json_answer_free(&rec->said);
    wafcert_json_listing_free(&rec->listing);
}


/* nginx calls it before it looks whether the request is blocked */

static void
ngx_http_wafcert_record_terminated(void *data)
{
    ngx_http_wafcert_record_t  *rec = data;

    rec->terminated = 1;
}


ngx_uint_t
ngx_http_wafcert_record_wants(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
#if (NGX_HTTP_CACHE)

    /* it tells what the WAF had, or did, when it was put there */

    if (r->cached) {
        return 0;
    }

#endif

    switch (ctx->call) {

    case NGX_HTTP_WAFCERT_LIST:
        return r->headers_out.status == NGX_HTTP_OK && ctx->record->list;

    case NGX_HTTP_WAFCERT_CREATE:
        return ngx_http_wafcert_record_accepted(r);

    case NGX_HTTP_WAFCERT_SHOW:
        return r->headers_out.status == NGX_HTTP_NOT_FOUND;

    default:
        return ngx_http_wafcert_record_accepted(r)
               || r->headers_out.status == NGX_HTTP_NOT_FOUND;
    }
}


static ngx_uint_t
ngx_http_wafcert_record_accepted(ngx_http_request_t *r)
{
    return r->headers_out.status < NGX_HTTP_SPECIAL_RESPONSE;
}


void
ngx_http_wafcert_heard(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    ngx_str_t *text, const char *fault)
{
    ngx_int_t                     rc;
    ngx_http_wafcert_record_t    *rec;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    rec = ctx->record;
    wlcf = ctx->conf;

    ngx_memcpy(rec->id, ctx->change.id, NGX_WAFCERT_ID_LEN);

    rc = text ? ngx_http_wafcert_record_parse(r, ctx, text) : NGX_DECLINED;

    ngx_memcpy(ctx->change.id, rec->id, NGX_WAFCERT_ID_LEN);
    ngx_wafcert_store_queue(wlcf->shm_zone->data, &ctx->change);

    /* only of a change it matters that the answer cannot be read */

    if (rc == NGX_DECLINED && ctx->call >= NGX_HTTP_WAFCERT_CREATE
        && ngx_http_wafcert_record_accepted(r))
    {
        (void) wafcert_refuse(&ctx->verdict, WAFCERT_ANSWER_ILLEGAL,
                              "the WAF's answer %s",
                              text ? "is not that of the API: JSON with the "
                                     "certificate's id and no error_code"
                                   : fault);

    } else if (rc != NGX_ERROR) {
        rc = NGX_AGAIN;
    }

    rec->rc = rc;
}


void
ngx_http_wafcert_record(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_wafcert_start(r, ctx, ngx_http_wafcert_record_event);

    ngx_http_wafcert_record_go_on(r, ctx, ctx->record->rc);
}


/* some other server may stand behind the location, too, and answer */

static ngx_int_t
ngx_http_wafcert_record_parse(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_str_t *text)
{
    ngx_int_t                   rc;
    ngx_str_t                  *code, *id;
    ngx_http_wafcert_record_t  *rec;

    rec = ctx->record;

    if (ctx->call == NGX_HTTP_WAFCERT_LIST) {
        rc = wafcert_json_listing(&rec->listing, text);
        rec->compare = (rc == NGX_OK);
        return rc;
    }

    if (ctx->call == NGX_HTTP_WAFCERT_DELETE
        && r->headers_out.status == NGX_HTTP_NO_CONTENT)
    {
        return ngx_http_wafcert_record_gone(rec, rec->id);
    }

    rc = wafcert_json_answer(&rec->said, text);
    if (rc != NGX_OK) {
        return rc;
    }

    id = &rec->said.id;
    code = &rec->said.error_code;

    if (!ngx_http_wafcert_record_accepted(r)) {
        return (code->len == sizeof(NGX_HTTP_WAFCERT_NO_RESOURCE) - 1
                && ngx_strncmp(code->data, NGX_HTTP_WAFCERT_NO_RESOURCE,
                               code->len)
                   == 0)
               ? ngx_http_wafcert_record_gone(rec, rec->id) : NGX_OK;
    }

    if (rec->said.error || id->len == 0) {
        return NGX_DECLINED;
    }

    if (ctx->call == NGX_HTTP_WAFCERT_CREATE) {
        ngx_memcpy(rec->id, id->data, NGX_WAFCERT_ID_LEN);

    } else if (ngx_memcmp(id->data, rec->id, NGX_WAFCERT_ID_LEN) != 0) {
        return NGX_DECLINED;
    }

    if (ctx->call == NGX_HTTP_WAFCERT_DELETE) {
        return ngx_http_wafcert_record_gone(rec, rec->id);
    }

    rec->keep = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_record_gone(ngx_http_wafcert_record_t *rec, u_char *id)
{
    u_char  *p;

    p = ngx_array_push(&rec->gone);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, id, NGX_WAFCERT_ID_LEN);

    return NGX_OK;
}


static void
ngx_http_wafcert_record_event(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_wafcert_record_go_on(r, ctx, NGX_AGAIN);
}


static void
ngx_http_wafcert_record_go_on(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_wafcert_record_t    *rec;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    rec = ctx->record;
    wlcf = ctx->conf;

    for ( ;; ) {

        while (rc == NGX_AGAIN) {
            rc = ngx_http_wafcert_record_step(r, ctx);
        }

        if (rc == NGX_BUSY) {
            rc = ngx_http_wafcert_wait(r, ctx);

            if (rc == NGX_OK) {
                ngx_http_wafcert_record_hold(r, rec);
                return;
            }
        }

        ngx_wafcert_wait_leave(&ctx->wait);

        if (rc == NGX_OK) {
            break;
        }

        if (rc == NGX_ERROR) {
            (void) ngx_http_wafcert_no_memory(ctx);
        }

        ngx_http_wafcert_record_failed(r, ctx);

        rc = NGX_AGAIN;
    }

    ngx_wafcert_store_leave(wlcf->shm_zone->data, &ctx->change);

    ctx->verdict.reason = WAFCERT_OK;

    if (rec->failed) {
        ctx->verdict = rec->verdict;
    }

    ngx_http_wafcert_record_release(r, rec);
}


/*
 * NGX_OK: there is nothing left to do.  NGX_AGAIN: there may be.  NGX_BUSY:
 * a change of somebody else's comes first.  NGX_DECLINED: ctx->verdict tells
 * why not.
 */

static ngx_int_t
ngx_http_wafcert_record_step(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_wafcert_record_t  *rec;

    rec = ctx->record;

    if (rec->compare) {
        return ngx_http_wafcert_record_compare(r, ctx);
    }

    if (rec->gone.nelts) {
        return ngx_http_wafcert_record_drop(r, ctx);
    }

    return rec->keep ? ngx_http_wafcert_record_keep(r, ctx) : NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_record_compare(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    u_char                        item[NGX_WAFCERT_ITEM_MAX];
    ngx_int_t                     rc;
    ngx_uint_t                    n;
    ngx_wafcert_copy_t            copy;
    ngx_http_wafcert_record_t    *rec;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    rec = ctx->record;
    wlcf = ctx->conf;

    for (n = 0; n < NGX_HTTP_WAFCERT_RECORD_STEP; n++) {

        rc = ngx_wafcert_store_next(wlcf->shm_zone->data, &rec->scan, &copy,
                                    item);

        if (rc == NGX_DONE) {
            rec->compare = 0;
            return NGX_AGAIN;
        }

        if (rc == NGX_OK && !wafcert_json_listed(&rec->listing, rec->scan.id)
            && ngx_http_wafcert_record_gone(rec, rec->scan.id) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* other requests first */

    return NGX_BUSY;
}


static ngx_int_t
ngx_http_wafcert_record_drop(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    u_char                       *ids;
    u_char                        id[2 * NGX_WAFCERT_ID_LEN];
    ngx_int_t                     rc;
    ngx_wafcert_file_t            file;
    ngx_wafcert_change_t         *change;
    ngx_http_wafcert_record_t    *rec;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    rec = ctx->record;
    change = &ctx->change;
    wlcf = ctx->conf;

    ids = rec->gone.elts;

    change->op = NGX_WAFCERT_DELETE;
    ngx_memcpy(change->id, ids + (rec->gone.nelts - 1) * NGX_WAFCERT_ID_LEN,
               NGX_WAFCERT_ID_LEN);
    ngx_str_null(&change->name);

    ngx_memcpy(file.entry.id, change->id, NGX_WAFCERT_ID_LEN);
    file.entry.version = 0;

    (void) ngx_wafcert_store_file(wlcf->shm_zone->data, &file);

    change->version = file.entry.version;

    rc = ngx_http_wafcert_record_change(r, ctx);

    if (rc == NGX_OK) {
        ngx_hex_dump(id, change->id, NGX_WAFCERT_ID_LEN);

        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "wafcert forget: project \"%V\", id %*s, name \"%V\", "
                      "revision %ui, token \"%V\"",
                      &ctx->project, sizeof(id), id, &file.name,
                      file.entry.revision, &ctx->label);

    } else if (rc != NGX_DECLINED
               || ctx->verdict.reason != WAFCERT_NOT_FOUND)
    {
        return rc;
    }

    rec->gone.nelts--;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_wafcert_record_keep(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t          rc;
    wafcert_record_t  *current;

    current = &ctx->current.record;

    rc = ctx->prepared ? NGX_OK : ngx_http_wafcert_record_fill(r, ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_wafcert_record_change(r, ctx);

        if (rc == NGX_OK) {
            ctx->record->keep = 0;

            ngx_http_wafcert_changed(ctx);
            ngx_http_wafcert_about(ctx, current);
            ngx_http_wafcert_audit(r, ctx, current);
        }

        return rc;
    }

    if (rc == NGX_DONE) {
        ctx->record->keep = 0;
        ngx_http_wafcert_about(ctx, current);
        return NGX_OK;
    }

    return rc;
}


/* NGX_DONE: it is so already */

static ngx_int_t
ngx_http_wafcert_record_fill(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_uint_t                  known;
    wafcert_record_t           *current;
    ngx_wafcert_change_t       *change;
    ngx_http_wafcert_record_t  *rec;

    rec = ctx->record;
    change = &ctx->change;
    current = &ctx->current.record;

    ngx_memcpy(change->id, rec->id, NGX_WAFCERT_ID_LEN);
    ngx_memzero(current, sizeof(wafcert_record_t));
    ctx->current.version = 0;

    rc = ngx_http_wafcert_current(r, ctx, 1);
    if (rc == NGX_ERROR) {
        return rc;
    }

    known = (rc == NGX_OK);

    rc = ngx_http_wafcert_record_pair(r, ctx, known);
    if (rc != NGX_OK) {
        return rc;
    }

    change->name = rec->said.name.len ? rec->said.name
                   : ctx->upload.name.len ? ctx->upload.name : current->name;

    /* one that is not known, and of which a part was sent, is not found */

    change->op = (known || change->facts == NULL || change->name.len == 0)
                 ? NGX_WAFCERT_MODIFY : NGX_WAFCERT_CREATE;
    change->version = ctx->current.version;
    change->new_revision = current->revision + 1;

    change->timestamp = rec->said.timestamp ? rec->said.timestamp
                        : known ? current->timestamp : ngx_http_wafcert_now();

    /* another name makes no pair of it that the WAF has */

    change->stale = (known && current->stale
                     && change->facts == &ctx->current.facts);

    return (known && change->timestamp == current->timestamp
            && change->stale == current->stale
            && ngx_http_wafcert_changes_nothing(ctx))
           ? NGX_DONE : NGX_OK;
}


/* what belongs together now; NULL where that is not known */

static ngx_int_t
ngx_http_wafcert_record_pair(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_uint_t known)
{
    ngx_int_t              rc;
    ngx_str_t              content, key;
    wafcert_upload_t      *upload;
    ngx_wafcert_change_t  *change;

    upload = &ctx->upload;
    change = &ctx->change;

    change->facts = NULL;
    change->key = NULL;

    if (upload->content.data == NULL || upload->key.data == NULL) {

        if (!known) {
            return NGX_OK;
        }

        if (upload->content.data == NULL && upload->key.data == NULL) {
            change->facts = &ctx->current.facts;
            change->key = &ctx->current.key;
            return NGX_OK;
        }

        rc = ngx_http_wafcert_current_pem(r, ctx, &content, &key);

        if (rc == NGX_OK) {
            rc = ngx_http_wafcert_judge_upload(r, ctx, &content, &key, 0);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    change->facts = &ctx->bundle.facts;
    change->key = &ctx->bundle.key;

    return NGX_OK;
}


/*
 * It has been made where the WAF is, and is in force here at once; its file
 * follows.
 */

static ngx_int_t
ngx_http_wafcert_record_change(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_wafcert_store_t          *store;
    const wafcert_facts_t        *facts;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ctx->conf;
    store = wlcf->shm_zone->data;

    ctx->change.project = ctx->project;
    ctx->change.quota = wlcf->quota;
    ctx->change.quota_size = wlcf->quota_size;

    facts = ctx->change.facts;

    if (ctx->change.op != NGX_WAFCERT_DELETE && facts && facts->many_hosts) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_CONTENT_TOO_MANY_HOSTS,
                              "the certificate has more than %lu hosts",
                              (u_long) wlcf->policy.max_hosts);
    }

    rc = ngx_wafcert_store_date(store, &ctx->change, 0, r->pool);

    if (rc == NGX_OK) {
        rc = ngx_wafcert_store_put(store, &ctx->change, &ctx->verdict);

    } else if (rc == NGX_AGAIN) {
        ngx_memcpy(ctx->change.blocked, ctx->change.id, NGX_WAFCERT_ID_LEN);
        ngx_http_wafcert_next_turn(ctx);
        rc = NGX_BUSY;
    }

    ctx->prepared = (rc == NGX_BUSY
                     && ctx->change.op != NGX_WAFCERT_DELETE);

    if (rc == NGX_OK) {
        ngx_wafcert_flush(store);
        return NGX_OK;
    }

    /* the WAF has given the name to another one: this one is gone there */

    if (rc == NGX_DONE
        || (rc == NGX_DECLINED
            && ctx->verdict.reason == WAFCERT_NAME_DUPLICATE))
    {
        rc = ngx_http_wafcert_record_gone(ctx->record, ctx->change.named);

        return (rc == NGX_OK) ? NGX_AGAIN : rc;
    }

    return rc;
}


/* a pair that the WAF has replaced is better than none, as long as it lasts */

static void
ngx_http_wafcert_record_failed(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_uint_t                    stale;
    ngx_wafcert_store_t          *store;
    ngx_wafcert_behind_t          numbers;
    ngx_http_wafcert_record_t    *rec;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    rec = ctx->record;
    wlcf = ctx->conf;
    store = wlcf->shm_zone->data;

    ctx->change.project = ctx->project;
    ngx_memcpy(ctx->change.id, rec->id, NGX_WAFCERT_ID_LEN);

    stale = ngx_wafcert_store_unrecorded(store, rec->keep ? &ctx->change
                                                          : NULL);
    ngx_wafcert_store_numbers(store, &numbers);
    ngx_wafcert_flush(store);

    rec->compare = 0;
    rec->keep = 0;
    rec->gone.nelts = 0;

    rec->failed = 1;
    rec->verdict = ctx->verdict;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "wafcert could not record what the WAF has accepted: %s, "
                  "project \"%V\", %s%s; %ui so far",
                  wafcert_reason(ctx->verdict.reason)->slug, &ctx->project,
                  ctx->verdict.message,
                  stale ? ", and what was there before is kept, and stale"
                        : "",
                  numbers.unrecorded);
}


/*
 * The client has its answer, but the request, and with it the pool and the
 * line in the access log, waits for another change, or for its turn in a long
 * list: as for a thread, for the client's end is not to be that of the request.
 */

static void
ngx_http_wafcert_record_hold(ngx_http_request_t *r,
    ngx_http_wafcert_record_t *rec)
{
    if (!rec->held) {
        rec->held = 1;
        r->main->count++;
        r->main->blocked++;
    }
}


static void
ngx_http_wafcert_record_release(ngx_http_request_t *r,
    ngx_http_wafcert_record_t *rec)
{
    if (rec->held) {
        rec->held = 0;
        r->main->blocked--;

        ngx_http_finalize_request(r, rec->terminated ? NGX_ERROR : NGX_DONE);
    }
}
