
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include "wafcert_gunzip.h"


/*
 * The answer of the WAF behind an edge: it passes as it is, and is copied on
 * its way where somebody wants to read it.
 */


/* one that is longer is not read */
#define NGX_HTTP_WAFCERT_ANSWER_MAX  (1024 * 1024)


struct ngx_http_wafcert_capture_s {
    ngx_str_t                text;        /* as far as it has come */
    ngx_buf_t               *buf;         /* what it is in */
    size_t                   size;        /* of that */
    off_t                    length;      /* of the whole; -1: not known */
    const char              *fault;       /* why it cannot be read */
    unsigned                 gzip:1;
};


static ngx_int_t ngx_http_wafcert_capture_header_filter(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_capture_no_file(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_capture_start(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_capture_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static void ngx_http_wafcert_capture_copy(ngx_http_request_t *r,
    ngx_http_wafcert_capture_t *capture, ngx_buf_t *buf);
static void ngx_http_wafcert_capture_free(ngx_http_request_t *r,
    ngx_http_wafcert_capture_t *capture);
static void ngx_http_wafcert_capture_end(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


void
ngx_http_wafcert_capture_init(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_wafcert_capture_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_wafcert_capture_body_filter;
}


static ngx_int_t
ngx_http_wafcert_capture_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_uint_t               last;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_wafcert_find_ctx(r);

    if (ctx == NULL || !ctx->passed || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    if (ngx_http_wafcert_capture_no_file(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->record == NULL) {
        return ngx_http_next_header_filter(r);
    }

    if (r->header_only || !ngx_http_wafcert_record_wants(r, ctx)) {
        ngx_http_wafcert_unheard(ctx);
        return ngx_http_next_header_filter(r);
    }

    if (ngx_http_wafcert_capture_start(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    /* which has no body */

    last = (r->headers_out.status == NGX_HTTP_NO_CONTENT);

    if (last) {
        ngx_http_wafcert_capture_end(r, ctx);
    }

    rc = ngx_http_next_header_filter(r);

    if (last) {
        ngx_http_wafcert_record(r, ctx);
    }

    return rc;
}


/* an answer may have a key in it, and is not for proxy_temp_path */

static ngx_int_t
ngx_http_wafcert_capture_no_file(ngx_http_request_t *r)
{
    ngx_http_upstream_t       *u;
    ngx_http_upstream_conf_t  *conf;

    u = r->upstream;

    if (u == NULL || u->cacheable || u->store
        || u->conf->max_temp_file_size == 0)
    {
        return NGX_OK;
    }

    conf = ngx_palloc(r->pool, sizeof(ngx_http_upstream_conf_t));
    if (conf == NULL) {
        return NGX_ERROR;
    }

    *conf = *u->conf;
    conf->max_temp_file_size = 0;

    u->conf = conf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_capture_start(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_table_elt_t             *encoding;
    ngx_http_wafcert_capture_t  *capture;

    capture = ngx_pcalloc(r->pool, sizeof(ngx_http_wafcert_capture_t));
    if (capture == NULL) {
        return NGX_ERROR;
    }

    ctx->capture = capture;

    capture->length = r->headers_out.content_length_n;

    encoding = r->headers_out.content_encoding;

    if (encoding == NULL || encoding->value.len == 0) {
        return NGX_OK;
    }

    if (encoding->value.len == 4
        && ngx_strncasecmp(encoding->value.data, (u_char *) "gzip", 4) == 0)
    {
        capture->gzip = 1;

    } else {
        capture->fault = "has a Content-Encoding other than gzip";
    }

    return NGX_OK;
}


/*
 * What is recorded has its turn before the client is told, who may change the
 * same certificate over another connection then.  All else comes after that.
 */

static ngx_int_t
ngx_http_wafcert_capture_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                rc;
    ngx_uint_t               last;
    ngx_chain_t             *cl;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    if (ctx == NULL || ctx->capture == NULL || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    last = 0;

    for (cl = in; cl; cl = cl->next) {
        ngx_http_wafcert_capture_copy(r, ctx->capture, cl->buf);
        last |= cl->buf->last_buf;
    }

    if (last) {
        ngx_http_wafcert_capture_end(r, ctx);
    }

    rc = ngx_http_next_body_filter(r, in);

    /* once the client has gone, nothing more will come */

    if (rc == NGX_ERROR && !last) {
        last = 1;

        if (ctx->capture->length > (off_t) ctx->capture->text.len) {
            ctx->capture->fault = "was not awaited by the client";
        }

        ngx_http_wafcert_capture_end(r, ctx);
    }

    if (last) {
        ngx_http_wafcert_record(r, ctx);
    }

    return rc;
}


static void
ngx_http_wafcert_capture_copy(ngx_http_request_t *r,
    ngx_http_wafcert_capture_t *capture, ngx_buf_t *buf)
{
    size_t      len, size;
    ngx_buf_t  *b;

    if (capture->fault || ngx_buf_special(buf)) {
        return;
    }

    len = buf->last - buf->pos;

    if (!ngx_buf_in_memory(buf)
        || len > NGX_HTTP_WAFCERT_ANSWER_MAX - capture->text.len)
    {
        capture->fault = "is too long";
        ngx_http_wafcert_capture_free(r, capture);
        return;
    }

    if (len > capture->size - capture->text.len) {

        size = 2 * (capture->text.len + len);

        b = ngx_http_wafcert_buf(r->pool, size, 1);
        if (b == NULL) {
            capture->fault = "has no place in memory";
            return;
        }

        if (capture->text.len) {
            ngx_memcpy(b->start, capture->text.data, capture->text.len);
        }

        ngx_http_wafcert_capture_free(r, capture);

        capture->buf = b;
        capture->size = size;
        capture->text.data = b->start;
    }

    ngx_memcpy(capture->text.data + capture->text.len, buf->pos, len);
    capture->text.len += len;
}


/* a long list is not to be kept until a slow client has it */

static void
ngx_http_wafcert_capture_free(ngx_http_request_t *r,
    ngx_http_wafcert_capture_t *capture)
{
    if (capture->buf) {
        ngx_http_wafcert_buf_free(r, capture->buf);
        capture->buf = NULL;
    }
}


static void
ngx_http_wafcert_capture_end(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_str_t                    text;
    ngx_http_wafcert_capture_t  *capture;

    capture = ctx->capture;
    ctx->capture = NULL;

    if (capture->fault || !capture->gzip) {
        ngx_http_wafcert_heard(r, ctx,
                               capture->fault ? NULL : &capture->text,
                               capture->fault);

    } else if (wafcert_gunzip(&text, &capture->text,
                              NGX_HTTP_WAFCERT_ANSWER_MAX)
               == NGX_OK)
    {
        ngx_http_wafcert_heard(r, ctx, &text, NULL);

        wafcert_gunzip_free(&text);

    } else {
        ngx_http_wafcert_heard(r, ctx, NULL, "cannot be uncompressed");
    }

    ngx_http_wafcert_capture_free(r, capture);
}
