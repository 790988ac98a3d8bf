
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"


#define NGX_HTTP_WAFCERT_BODY_MIN  16384
#define NGX_HTTP_WAFCERT_STACK     32768
#define NGX_HTTP_WAFCERT_TURN      60000   /* ms, but it comes at once */


static void ngx_http_wafcert_body_event(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_body_collect(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, size_t max);
static void ngx_http_wafcert_body_wipe(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_body_grow(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, size_t size);
static ngx_int_t ngx_http_wafcert_body_too_large(
    ngx_http_wafcert_ctx_t *ctx, size_t max);
static void ngx_http_wafcert_log_refusal(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_uint_t ngx_http_wafcert_arg_is(u_char **pos, u_char *last,
    const char *name);
static ngx_int_t ngx_http_wafcert_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_buf_t *b);
static ngx_int_t ngx_http_wafcert_add_header(ngx_http_request_t *r,
    const char *name, const char *value);
static void ngx_http_wafcert_wipe(void *data);
static void ngx_http_wafcert_wipe_stack(ngx_event_t *ev);
static void ngx_http_wafcert_step(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_event(ngx_event_t *ev);


/*
 * Unbuffered reading, though all of the body is wanted: it is the one way in
 * which nginx never puts a body into a file, whatever its framing.
 */

ngx_int_t
ngx_http_wafcert_read_body(ngx_http_request_t *r,
    ngx_http_wafcert_handler_pt handler)
{
    size_t                        size;
    u_char                       *p;
    ngx_int_t                     rc;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    size = NGX_HTTP_WAFCERT_BODY_MIN;

    if (r->headers_in.content_length_n >= 0) {

        if (r->headers_in.content_length_n > (off_t) wlcf->max_body_size) {
            (void) ngx_http_wafcert_body_too_large(ctx, wlcf->max_body_size);
            return ngx_http_wafcert_refuse(r);
        }

        size = (size_t) r->headers_in.content_length_n;
    }

    if (ngx_http_wafcert_body_grow(r, ctx, ngx_min(size, wlcf->max_body_size))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->body_handler = handler;

    r->request_body_no_buffering = 1;
    r->request_body_in_file_only = 0;

    p = r->header_in ? r->header_in->pos : NULL;

    rc = ngx_http_read_client_request_body(r, ngx_http_wafcert_body_event);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {

        if (p) {
            ngx_explicit_memzero(p, r->header_in->pos - p);
        }

        ngx_http_wafcert_body_wipe(r);
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_wafcert_body_event(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    for ( ;; ) {

        rc = ngx_http_wafcert_body_collect(r, ctx, wlcf->max_body_size);

        if (rc == NGX_DECLINED) {
            ngx_http_wafcert_body_wipe(r);
            ngx_http_finalize_request(r, ngx_http_wafcert_refuse(r));
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_wafcert_body_wipe(r);
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        if (!r->reading_body) {
            break;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_wafcert_body_wipe(r);
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (r->reading_body && r->request_body->bufs == NULL) {
            r->read_event_handler = ngx_http_wafcert_body_event;
            return;
        }
    }

    r->read_event_handler = ngx_http_block_reading;

    ctx->body_handler(r);
}


static ngx_int_t
ngx_http_wafcert_body_collect(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, size_t max)
{
    size_t        size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        size = b->last - b->pos;

        if (ngx_buf_special(b)) {
            continue;
        }

        /* something else has read it, before it came here */

        if (b->in_file) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "wafcert found the body in a file, where another "
                          "module or location has put it");
            return NGX_ERROR;
        }

        if (size > max - ctx->body.len) {
            return ngx_http_wafcert_body_too_large(ctx, max);
        }

        if (size > ctx->body_size - ctx->body.len
            && ngx_http_wafcert_body_grow(r, ctx,
                   ngx_min(max, 2 * (ctx->body.len + size)))
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_memcpy(ctx->body.data + ctx->body.len, b->pos, size);
        ctx->body.len += size;

        ngx_explicit_memzero(b->pos, size);
        b->pos = b->last;
    }

    r->request_body->bufs = NULL;

    return NGX_OK;
}


/* It will not be read to its end: the connection is of no more use. */

static void
ngx_http_wafcert_body_wipe(ngx_http_request_t *r)
{
    ngx_buf_t               *b;
    ngx_chain_t             *cl;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    ctx->discarded = 1;

    b = r->header_in;

    if (b) {
        ngx_explicit_memzero(b->pos, b->last - b->pos);
    }

    if (r->request_body == NULL) {
        return;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            ngx_explicit_memzero(b->pos, b->last - b->pos);
        }
    }

    b = r->request_body->buf;

    if (b) {
        ngx_explicit_memzero(b->start, b->end - b->start);
    }
}


static ngx_int_t
ngx_http_wafcert_body_grow(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, size_t size)
{
    ngx_buf_t  *b;

    b = ngx_http_wafcert_buf(r->pool, size, 1);
    if (b == NULL) {
        return NGX_ERROR;
    }

    if (ctx->body.len) {
        ngx_memcpy(b->start, ctx->body.data, ctx->body.len);
    }

    ctx->body.data = b->start;
    ctx->body_size = size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_body_too_large(ngx_http_wafcert_ctx_t *ctx, size_t max)
{
    return wafcert_refuse(&ctx->verdict, WAFCERT_BODY_TOO_LARGE,
                          "the body is larger than the %lu bytes that are "
                          "allowed", (unsigned long) max);
}


ngx_buf_t *
ngx_http_wafcert_buf(ngx_pool_t *pool, size_t size, ngx_uint_t key)
{
    ngx_buf_t           *b;
    ngx_pool_cleanup_t  *cln;

    b = ngx_create_temp_buf(pool, ngx_max(size, 1));
    if (b == NULL) {
        return NULL;
    }

    if (key) {
        cln = ngx_pool_cleanup_add(pool, 0);
        if (cln == NULL) {
            return NULL;
        }

        cln->handler = ngx_http_wafcert_wipe;
        cln->data = b;
    }

    return b;
}


static void
ngx_http_wafcert_wipe(void *data)
{
    ngx_buf_t  *b = data;

    ngx_explicit_memzero(b->start, b->end - b->start);
}


void
ngx_http_wafcert_buf_free(ngx_http_request_t *r, ngx_buf_t *b)
{
    ngx_http_wafcert_wipe(b);

    (void) ngx_pfree(r->pool, b->start);

    b->start = NULL;
    b->end = NULL;
}


ngx_int_t
ngx_http_wafcert_answer(ngx_http_request_t *r, ngx_buf_t *b,
    ngx_uint_t revision)
{
    u_char           *p;
    ngx_table_elt_t  *etag;

    if (revision) {
        etag = ngx_list_push(&r->headers_out.headers);
        if (etag == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN + 2);
        if (p == NULL) {
            etag->hash = 0;
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        etag->hash = 1;
#if (nginx_version >= 1023000)
        etag->next = NULL;
#endif
        ngx_str_set(&etag->key, "ETag");
        etag->value.data = p;
        etag->value.len = ngx_sprintf(p, "\"%ui\"", revision) - p;

        r->headers_out.etag = etag;
    }

    /* nginx's own If-Match would look at a revision that is new by now */

    if (r->method & (NGX_HTTP_POST|NGX_HTTP_PUT|NGX_HTTP_DELETE)) {
        r->disable_not_modified = 1;
    }

    return ngx_http_wafcert_send(r, NGX_HTTP_OK, b);
}


ngx_int_t
ngx_http_wafcert_refuse(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_buf_t                    *b;
    ngx_uint_t                    status;
    const wafcert_reason_t       *reason;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    ngx_http_wafcert_log_refusal(r, ctx);

    reason = wafcert_reason(ctx->verdict.reason);
    status = reason->status;

    if (ctx->verdict.reason == WAFCERT_TOKEN_PROJECT
        || ctx->verdict.reason == WAFCERT_TOKEN_ROLE)
    {
        status = wlcf->denied_status;
    }

    if (ctx->verdict.reason == WAFCERT_METHOD_NOT_ALLOWED
        && ngx_http_wafcert_add_header(r, "Allow", ctx->allow) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        r->keepalive = 0;
    }

    rc = ngx_http_wafcert_discard_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    b = ngx_http_wafcert_buf(r->pool,
                             wafcert_json_error(NULL, &ctx->verdict), 0);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last += wafcert_json_error(b->last, &ctx->verdict);

    return ngx_http_wafcert_send(r, status, b);
}


ngx_int_t
ngx_http_wafcert_no_memory(ngx_http_wafcert_ctx_t *ctx)
{
    return wafcert_refuse(&ctx->verdict, WAFCERT_INTERNAL,
                          "the server has no memory left for the request");
}


static void
ngx_http_wafcert_log_refusal(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_uint_t  level;

    /* what a commit fails by is logged once, as long as it lasts */

    level = (ctx->verdict.reason != WAFCERT_COMMIT_FAILED
             && wafcert_reason(ctx->verdict.reason)->status
                == NGX_HTTP_INTERNAL_SERVER_ERROR)
            ? NGX_LOG_ERR : NGX_LOG_INFO;

    ngx_log_error(level, r->connection->log, 0,
                  "wafcert refused: %s, project \"%V\", token \"%V\"",
                  wafcert_reason(ctx->verdict.reason)->slug, &ctx->project,
                  &ctx->label);
}


ngx_int_t
ngx_http_wafcert_discard_body(ngx_http_request_t *r)
{
    u_char                  *p;
    ngx_buf_t               *b;
    ngx_int_t                rc;
    ngx_http_wafcert_ctx_t  *ctx;

    /* a client that waits for "100 Continue" is not to send it any more */

    if (r->headers_in.expect && !r->expect_tested) {
        r->expect_tested = 1;
        r->keepalive = 0;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        ctx->discarded = 1;
    }

    /* what has come with the header and is passed over */

    b = r->header_in;
    p = b ? b->pos : NULL;

    rc = ngx_http_discard_request_body(r);

    if (b && b == r->header_in && b->pos > p) {
        ngx_explicit_memzero(p, b->pos - p);
    }

    return rc;
}


void
ngx_http_wafcert_body_gone(void)
{
    static ngx_event_t  event;

    event.handler = ngx_http_wafcert_wipe_stack;
    event.log = ngx_cycle->log;

    ngx_post_event(&event, &ngx_posted_events);
}


/* Where nginx reads what it discards, a few calls below its event loop. */

static void
ngx_http_wafcert_wipe_stack(ngx_event_t *ev)
{
    u_char  stack[NGX_HTTP_WAFCERT_STACK];

    ngx_explicit_memzero(stack, sizeof(stack));
}


static ngx_int_t
ngx_http_wafcert_send(ngx_http_request_t *r, ngx_uint_t status, ngx_buf_t *b)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    rc = ngx_http_wafcert_send_header(r, status, b->last - b->pos);

    if (rc != NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

    /* what a slow client has yet to take is sent after the request's end */

    return (rc == NGX_AGAIN) ? NGX_OK : rc;
}


ngx_int_t
ngx_http_wafcert_send_header(ngx_http_request_t *r, ngx_uint_t status,
    off_t length)
{
    ngx_int_t  rc;

    r->headers_out.status = status;
    r->headers_out.content_length_n = length;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    /* an answer may hold a key: no cache on the way is to keep it */

    if (ngx_http_wafcert_add_header(r, "Cache-Control", "no-store")
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    return (rc == NGX_AGAIN) ? NGX_OK : rc;
}


static ngx_int_t
ngx_http_wafcert_add_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}


ngx_uint_t
ngx_http_wafcert_etag_matches(ngx_str_t *header, ngx_uint_t revision)
{
    u_char     *p, *last, *start;
    ngx_int_t   n;

    p = header->data;
    last = p + header->len;

    if (header->len == 1 && *p == '*') {
        return 1;
    }

    /* a "W/" before the tag is a compressing proxy's, the revision is ours */

    while (p < last) {

        p = ngx_strlchr(p, last, '"');
        if (p == NULL) {
            return 0;
        }

        start = ++p;

        p = ngx_strlchr(p, last, '"');
        if (p == NULL) {
            return 0;
        }

        n = ngx_atoi(start, p - start);

        if (n != NGX_ERROR && (ngx_uint_t) n == revision) {
            return 1;
        }

        p++;
    }

    return 0;
}


ngx_int_t
ngx_http_wafcert_get(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    ngx_uint_t key, ngx_pool_t *pool, ngx_wafcert_copy_t *copy)
{
    ngx_int_t                      rc;
    wafcert_link_t                *leaf;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);

    rc = ngx_wafcert_store_get(ctx->conf->shm_zone->data, &ctx->project,
                               ctx->change.id, key, pool, copy);

    if (rc == NGX_DECLINED) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_NOT_FOUND,
                              "the project has no certificate with this id");
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    leaf = copy->facts.chain;

    return wafcert_sha256(wmcf->validator, &leaf->der, leaf->sha256);
}


int64_t
ngx_http_wafcert_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}


/*
 * nginx finds no parameter that has no "=", and the first one of several; what
 * the client meant by these must not be guessed.
 */

ngx_uint_t
ngx_http_wafcert_arg(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    n = 0;
    p = r->args.data;
    last = p + r->args.len;

    while (p < last) {

        if (ngx_http_wafcert_arg_is(&p, last, name)) {
            n++;
            value->data = (p < last && *p == '=') ? p + 1 : p;

            while (p < last && *p != '&') {
                p++;
            }

            value->len = p - value->data;
        }

        while (p < last && *p++ != '&') { /* void */ }
    }

    return n;
}


static ngx_uint_t
ngx_http_wafcert_arg_is(u_char **pos, u_char *last, const char *name)
{
    u_char  ch;

    for ( /* void */ ; *name; name++) {
        ch = ngx_http_wafcert_name_char(pos, last);

        if (ngx_tolower(ch) != (u_char) *name) {
            return 0;
        }
    }

    return *pos == last || **pos == '=' || **pos == '&';
}


ngx_int_t
ngx_http_wafcert_arg_flag(ngx_http_request_t *r, const char *name)
{
    ngx_str_t   value;
    ngx_uint_t  n;

    n = ngx_http_wafcert_arg(r, name, &value);

    if (n == 0) {
        return 0;
    }

    if (n == 1 && value.len == 4 && ngx_strncmp(value.data, "true", 4) == 0) {
        return 1;
    }

    if (n == 1 && value.len == 5 && ngx_strncmp(value.data, "false", 5) == 0)
    {
        return 0;
    }

    return NGX_ERROR;
}


void
ngx_http_wafcert_about(ngx_http_wafcert_ctx_t *ctx,
    const wafcert_record_t *record)
{
    ngx_memcpy(ctx->id, record->id.data, 2 * NGX_WAFCERT_ID_LEN);
    ctx->has_id = 1;

    ctx->name = record->name;

    ngx_hex_dump(ctx->fingerprint, (u_char *) record->facts->chain[0].sha256,
                 WAFCERT_SHA256_LEN);
    ctx->has_fingerprint = 1;
}


void
ngx_http_wafcert_set_event(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_event_pt handler)
{
    ctx->event.handler = ngx_http_wafcert_event;
    ctx->event.data = ctx;
    ctx->event.log = r->connection->log;
    ctx->event_handler = handler;
}


ngx_int_t
ngx_http_wafcert_in_turns(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_step_pt step)
{
    ngx_int_t  rc;

    rc = step(r, ctx);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    r->main->count++;

    ctx->step = step;
    ngx_http_wafcert_set_event(r, ctx, ngx_http_wafcert_step);
    ngx_http_wafcert_next_turn(ctx);

    return NGX_DONE;
}


static void
ngx_http_wafcert_step(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ctx->step(r, ctx);

    if (rc == NGX_AGAIN) {
        ngx_http_wafcert_next_turn(ctx);
        return;
    }

    ngx_http_finalize_request(r, rc);
}


/* A worker that is told to exit waits for what has a timer, and no more. */

void
ngx_http_wafcert_next_turn(ngx_http_wafcert_ctx_t *ctx)
{
    ngx_post_event(&ctx->event, &ngx_posted_next_events);
    ngx_add_timer(&ctx->event, NGX_HTTP_WAFCERT_TURN);
}


void
ngx_http_wafcert_no_turn(ngx_http_wafcert_ctx_t *ctx)
{
    if (ctx->event.timer_set) {
        ngx_del_timer(&ctx->event);
    }

    if (ctx->event.posted) {
        ngx_delete_posted_event(&ctx->event);
    }
}


static void
ngx_http_wafcert_event(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_wafcert_no_turn(ctx);

    ngx_http_set_log_request(c->log, r);

    ctx->event_handler(r, ctx);
    ngx_http_run_posted_requests(c);
}
