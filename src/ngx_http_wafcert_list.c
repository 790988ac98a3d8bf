
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"


/*
 * A list may be longer than what should stand in memory for a slow client, or
 * than what other requests should wait for.  It is counted first, since the
 * total comes first, and then sent, a buffer at a time; between two pieces of
 * work the event loop has its turn.
 */

#define NGX_HTTP_WAFCERT_LIST_BUF   16384

/* the largest item: name twice, escaped, and the members' names */
#define NGX_HTTP_WAFCERT_LIST_ITEM  2048


struct ngx_http_wafcert_list_s {
    ngx_wafcert_scan_t    scan;
    ngx_wafcert_scan_t    first;      /* where the page starts */
    ngx_wafcert_copy_t    copy;
    u_char                item[NGX_WAFCERT_ITEM_MAX];  /* of "copy" */
    ngx_uint_t            parts;

    ngx_uint_t            skip;       /* before the page */
    ngx_uint_t            size;       /* of the page */
    ngx_uint_t            total;
    ngx_uint_t            sent;

    ngx_pool_t           *pool;       /* of the item's "bind_host" */
    ngx_wafcert_survey_t  won;        /* the same */
    ngx_chain_t          *free;
    ngx_chain_t          *busy;
    unsigned              counted:1;
    unsigned              started:1;
    unsigned              pending:1;  /* "copy" has yet to be written, */
    unsigned              bound:1;    /* and has its "bind_host" */
    unsigned              complete:1; /* the last buffer has been made */
};


static ngx_int_t ngx_http_wafcert_list_args(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_list_t *list);
static ngx_int_t ngx_http_wafcert_list_pages(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_list_t *list);
static ngx_int_t ngx_http_wafcert_list_offset(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_list_t *list);
static ngx_int_t ngx_http_wafcert_list_filters(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_list_t *list);
static ngx_int_t ngx_http_wafcert_arg_number(ngx_http_request_t *r,
    const char *name, ngx_int_t *value);
static void ngx_http_wafcert_list_write(ngx_http_request_t *r);
static void ngx_http_wafcert_list_proceed(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_list_count(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list);
static ngx_int_t ngx_http_wafcert_list_send(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list);
static ngx_chain_t *ngx_http_wafcert_list_get_buf(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list);
static ngx_int_t ngx_http_wafcert_list_fill(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list, ngx_buf_t *b);
static ngx_int_t ngx_http_wafcert_list_next(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list);
static ngx_int_t ngx_http_wafcert_list_hosts(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list);
static ngx_int_t ngx_http_wafcert_list_item(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list, ngx_buf_t *b);
static void ngx_http_wafcert_list_cleanup(void *data);
static ngx_int_t ngx_http_wafcert_list_wait(ngx_http_request_t *r);


ngx_int_t
ngx_http_wafcert_list(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_str_t                     host;
    ngx_uint_t                    n;
    ngx_pool_cleanup_t           *cln;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_list_t      *list;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    n = ngx_http_wafcert_arg(r, "serves", &host);

    if (n) {
        return ngx_http_wafcert_serves(r, n == 1 ? &host : NULL);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_wafcert_list_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    list = cln->data;
    ngx_memzero(list, sizeof(ngx_http_wafcert_list_t));

    cln->handler = ngx_http_wafcert_list_cleanup;
    ctx->list = list;

    rc = ngx_http_wafcert_list_args(r, ctx, list);

    if (rc == NGX_DECLINED) {
        return ngx_http_wafcert_refuse(r);
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_wafcert_discard_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_wafcert_set_event(r, ctx, ngx_http_wafcert_list_proceed);

    ngx_wafcert_store_scan(wlcf->shm_zone->data, &list->scan);
    list->first = list->scan;

    r->main->count++;
    ngx_http_wafcert_list_proceed(r, ctx);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_wafcert_list_args(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_list_t *list)
{
    ngx_int_t  rc;

    list->scan.project = ctx->project;
    list->scan.now = ngx_http_wafcert_now();
    list->scan.exp_status = -1;
    list->size = NGX_MAX_INT_T_VALUE;

    rc = ngx_http_wafcert_list_offset(r, ctx, list);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_wafcert_list_pages(r, ctx, list);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_wafcert_list_filters(r, ctx, list);
}


/*
 * The older clients do not agree whether "offset" counts records or pages.
 * All of the list at once, and nothing after it, is right for both.
 */

static ngx_int_t
ngx_http_wafcert_list_offset(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_list_t *list)
{
    ngx_int_t  offset, limit;

    offset = 0;
    limit = -1;

    if (ngx_http_wafcert_arg_number(r, "offset", &offset) != NGX_OK
        || offset < 0)
    {
        return wafcert_refuse(&ctx->verdict, WAFCERT_OFFSET_ILLEGAL,
                              "the parameter offset is not a number from 0");
    }

    if (ngx_http_wafcert_arg_number(r, "limit", &limit) != NGX_OK) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_OFFSET_ILLEGAL,
                              "the parameter limit is not a number");
    }

    if (offset > 0) {
        list->size = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_list_pages(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_list_t *list)
{
    ngx_int_t  page, size;

    page = 1;
    size = -1;

    if (ngx_http_wafcert_arg_number(r, "page", &page) != NGX_OK || page < 1) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_PAGE_ILLEGAL,
                              "the parameter page is not a number from 1");
    }

    /* ngx_http_arg() takes "pageSize" for it, too */

    if (ngx_http_wafcert_arg_number(r, "pagesize", &size) != NGX_OK
        || size < -1 || size == 0 || size > 100)
    {
        return wafcert_refuse(&ctx->verdict, WAFCERT_PAGESIZE_ILLEGAL,
                              "the parameter pagesize is neither a number "
                              "from 1 to 100 nor -1");
    }

    if (size != -1 && list->size) {
        list->size = size;
        list->skip = (page <= NGX_MAX_INT_T_VALUE / size)
                     ? (page - 1) * size : NGX_MAX_INT_T_VALUE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_list_filters(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_list_t *list)
{
    u_char     *dst, *src;
    ngx_int_t   rc;
    ngx_str_t   name;

    if (ngx_http_arg(r, (u_char *) "name", 4, &name) == NGX_OK && name.len) {

        src = name.data;
        dst = ngx_pnalloc(r->pool, name.len);
        if (dst == NULL) {
            return NGX_ERROR;
        }

        list->scan.name.data = dst;
        ngx_unescape_uri(&dst, &src, name.len, 0);
        list->scan.name.len = dst - list->scan.name.data;
    }

    rc = ngx_http_wafcert_arg_number(r, "exp_status", &list->scan.exp_status);

    if (rc != NGX_OK || list->scan.exp_status < -1
        || list->scan.exp_status > 2)
    {
        return wafcert_refuse(&ctx->verdict, WAFCERT_EXP_STATUS_ILLEGAL,
                              "the parameter exp_status is not 0, 1 or 2");
    }

    rc = ngx_http_wafcert_arg_flag(r, "host");

    if (rc == NGX_ERROR) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_HOST_ILLEGAL,
                              "the parameter host is neither \"true\" nor "
                              "\"false\", or is there twice");
    }

    if (rc) {
        list->parts = WAFCERT_JSON_HOST;
    }

    return NGX_OK;
}


/* leaves "value" alone where the parameter is absent or empty */

static ngx_int_t
ngx_http_wafcert_arg_number(ngx_http_request_t *r, const char *name,
    ngx_int_t *value)
{
    ngx_int_t  n;
    ngx_str_t  arg;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &arg) != NGX_OK
        || arg.len == 0)
    {
        return NGX_OK;
    }

    if (arg.len == 2 && arg.data[0] == '-' && arg.data[1] == '1') {
        *value = -1;
        return NGX_OK;
    }

    n = ngx_atoi(arg.data, arg.len);
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *value = n;

    return NGX_OK;
}


static void
ngx_http_wafcert_list_write(ngx_http_request_t *r)
{
    ngx_event_t  *wev;

    wev = r->connection->write;

    if (wev->timedout && !wev->delayed) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;

        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    ngx_http_wafcert_list_proceed(r,
                                  ngx_http_get_module_ctx(r,
                                                   ngx_http_wafcert_module));
}


static void
ngx_http_wafcert_list_proceed(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_http_wafcert_list_t  *list;

    list = ctx->list;

    ngx_http_wafcert_no_turn(ctx);

    list->won.seen = 0;

    rc = list->counted ? ngx_http_wafcert_list_send(r, list)
                       : ngx_http_wafcert_list_count(r, list);

    if (rc == NGX_BUSY) {
        rc = ngx_http_wafcert_list_wait(r);

        if (rc == NGX_OK) {
            return;
        }
    }

    if (rc == NGX_AGAIN) {
        ngx_http_wafcert_next_turn(ctx);
        return;
    }

    ngx_http_finalize_request(r, rc);
}


/* NGX_AGAIN, or what finalizes the request */

static ngx_int_t
ngx_http_wafcert_list_count(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list)
{
    ngx_int_t                     rc;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    rc = ngx_wafcert_store_count(wlcf->shm_zone->data, &list->scan,
                                 (list->total < list->skip)
                                 ? list->skip - list->total
                                 : NGX_MAX_INT_T_VALUE,
                                 &list->total);

    if (list->total && list->total <= list->skip) {
        list->first = list->scan;
    }

    if (rc != NGX_DONE) {
        return NGX_AGAIN;
    }

    list->scan = list->first;
    list->counted = 1;

    rc = ngx_http_wafcert_send_header(r, NGX_HTTP_OK, -1);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    return r->header_only ? NGX_OK : NGX_AGAIN;
}


/* NGX_BUSY: the client has to read first */

static ngx_int_t
ngx_http_wafcert_list_send(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *out;

    out = NULL;

    if (list->busy == NULL) {

        out = ngx_http_wafcert_list_get_buf(r, list);
        if (out == NULL) {
            return NGX_ERROR;
        }

        b = out->buf;

        if (ngx_http_wafcert_list_fill(r, list, b) != NGX_OK) {
            return NGX_ERROR;
        }

        if (b->last == b->pos) {
            out->next = list->free;
            list->free = out;
            return NGX_AGAIN;
        }

        b->flush = !list->complete;
        b->last_buf = (list->complete && r == r->main);
        b->last_in_chain = list->complete;
    }

    rc = ngx_http_output_filter(r, out);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (list->complete) {
        return NGX_OK;
    }

    ngx_chain_update_chains(r->pool, &list->free, &list->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_wafcert_module);

    return list->busy ? NGX_BUSY : NGX_AGAIN;
}


static ngx_chain_t *
ngx_http_wafcert_list_get_buf(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(r->pool, &list->free);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(r->pool, NGX_HTTP_WAFCERT_LIST_BUF);
        if (b->start == NULL) {
            return NULL;
        }

        b->end = b->start + NGX_HTTP_WAFCERT_LIST_BUF;
        b->tag = (ngx_buf_tag_t) &ngx_http_wafcert_module;
        b->temporary = 1;
    }

    b->pos = b->start;
    b->last = b->start;

    return cl;
}


static ngx_int_t
ngx_http_wafcert_list_fill(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list, ngx_buf_t *b)
{
    ngx_int_t  rc;

    if (!list->started) {
        list->started = 1;
        b->last = ngx_sprintf(b->last, "{\"total\":%ui,\"items\":[",
                              list->total);
    }

    while (b->end - b->last > NGX_HTTP_WAFCERT_LIST_ITEM) {

        rc = ngx_http_wafcert_list_next(r, list);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_AGAIN) {
            return NGX_OK;
        }

        if (rc == NGX_DONE) {
            b->last = ngx_cpymem(b->last, "]}\n", 3);
            list->complete = 1;
            return NGX_OK;
        }

        rc = ngx_http_wafcert_list_item(r, list, b);

        if (rc != NGX_OK) {
            return (rc == NGX_AGAIN) ? NGX_OK : NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* as ngx_wafcert_store_next(); NGX_ERROR: no memory */

static ngx_int_t
ngx_http_wafcert_list_next(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list)
{
    ngx_int_t                     rc;
    ngx_uint_t                    seen;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (list->pending) {
        return ngx_http_wafcert_list_hosts(r, list);
    }

    if (list->sent >= list->size) {
        return NGX_DONE;
    }

    rc = ngx_wafcert_store_next(wlcf->shm_zone->data, &list->scan,
                                &list->copy, list->item);
    if (rc != NGX_OK) {
        return rc;
    }

    list->pending = 1;

    if (!(list->parts & WAFCERT_JSON_HOST)) {
        list->bound = 1;
        return NGX_OK;
    }

    list->pool = ngx_create_pool(NGX_MIN_POOL_SIZE, r->connection->log);
    if (list->pool == NULL) {
        return NGX_ERROR;
    }

    seen = list->won.seen;
    ngx_memzero(&list->won, sizeof(ngx_wafcert_survey_t));
    list->won.seen = seen;

    return ngx_http_wafcert_list_hosts(r, list);
}


/* NGX_AGAIN: others have their turn first */

static ngx_int_t
ngx_http_wafcert_list_hosts(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list)
{
    ngx_int_t  rc;

    if (list->bound) {
        return NGX_OK;
    }

    rc = ngx_http_wafcert_bind_hosts(r, &list->won, list->scan.id,
                                     &list->copy.record, list->pool);

    list->bound = (rc == NGX_OK);

    return rc;
}


/* NGX_AGAIN: it needs a buffer of its own, and "b" is not empty */

static ngx_int_t
ngx_http_wafcert_list_item(ngx_http_request_t *r,
    ngx_http_wafcert_list_t *list, ngx_buf_t *b)
{
    size_t             size;
    wafcert_record_t  *record;

    record = &list->copy.record;

    size = wafcert_json_item(NULL, record, list->parts, list->scan.now);

    /* a comma before it, and the end of the list after it */

    if ((size_t) (b->end - b->last) < size + sizeof(",]}\n")) {

        if (b->last != b->start) {
            return NGX_AGAIN;
        }

        (void) ngx_pfree(r->pool, b->start);

        b->start = ngx_palloc(r->pool, size + NGX_HTTP_WAFCERT_LIST_BUF);
        if (b->start == NULL) {
            return NGX_ERROR;
        }

        b->end = b->start + size + NGX_HTTP_WAFCERT_LIST_BUF;
        b->pos = b->start;
        b->last = b->start;
    }

    if (list->sent++) {
        *b->last++ = ',';
    }

    b->last += wafcert_json_item(b->last, record, list->parts,
                                 list->scan.now);

    list->pending = 0;
    list->bound = 0;
    ngx_http_wafcert_list_cleanup(list);

    return NGX_OK;
}


static void
ngx_http_wafcert_list_cleanup(void *data)
{
    ngx_http_wafcert_list_t  *list = data;

    if (list->pool) {
        ngx_destroy_pool(list->pool);
        list->pool = NULL;
    }
}


static ngx_int_t
ngx_http_wafcert_list_wait(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_core_loc_conf_t  *clcf;

    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = ngx_http_wafcert_list_write;

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}
