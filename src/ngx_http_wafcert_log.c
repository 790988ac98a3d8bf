
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"


/* so much of a token is looked for: no address of a client is as long */
#define NGX_HTTP_WAFCERT_TOKEN_PART  16


static void ngx_http_wafcert_unguard_log(void *data);
static void ngx_http_wafcert_mask(ngx_log_t *log, ngx_uint_t level,
    u_char *buf, size_t len);
static u_char *ngx_http_wafcert_mask_from(u_char *buf, u_char *end);
static u_char *ngx_http_wafcert_mask_after(u_char *p, u_char *end,
    const char *text);
static u_char *ngx_http_wafcert_mask_header(u_char *buf, u_char *end);
static void ngx_http_wafcert_mask_tokens(ngx_http_request_t *r, u_char *buf,
    u_char *end);
static void ngx_http_wafcert_mask_token(ngx_str_t *token, u_char *buf,
    u_char *end);

static ngx_int_t ngx_http_wafcert_log_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_log_header_filter(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;

/* nginx's own, by which a log is known for that of a client's connection */
static ngx_log_handler_pt  ngx_http_wafcert_log_error;


/*
 * nginx itself logs request headers, some of them at "info", and at "debug" all
 * of them and whatever variables are used for.  It hands one and the same
 * buffer to each log of a chain, so a log that comes first and only masks keeps
 * secrets out of the others, whatever they write to, and whatever their level:
 * there may be a debug_connection.  Connections copy the head of the chain,
 * hence the swap.
 */

ngx_int_t
ngx_http_wafcert_guard_log(ngx_conf_t *cf, ngx_log_t *log)
{
    ngx_log_t           *next;
    ngx_pool_cleanup_t  *cln;

    if (log->writer == ngx_http_wafcert_mask) {
        return NGX_OK;
    }

    next = ngx_palloc(cf->pool, sizeof(ngx_log_t));
    if (next == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_wafcert_unguard_log;
    cln->data = log;

    *next = *log;

    log->writer = ngx_http_wafcert_mask;
    log->wdata = NULL;
    log->next = next;

    return NGX_OK;
}


/* the pool logs its own end, after the module's code has been unmapped */

static void
ngx_http_wafcert_unguard_log(void *data)
{
    ngx_log_t  *log;

    for (log = data; log; log = log->next) {

        if (log->writer == ngx_http_wafcert_mask) {
            *log = *log->next;
            return;
        }
    }
}


static void
ngx_http_wafcert_mask(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len)
{
    u_char              *p, *end;
    ngx_http_log_ctx_t  *ctx;

    end = buf + len;

    if (end > buf && end[-1] == LF) {
        end--;
    }

    if (end > buf && end[-1] == '"') {
        end--;
    }

    p = ngx_http_wafcert_mask_from(buf, end);
    ngx_memset(p, '*', end - p);

    ctx = log->data;

    if (ngx_http_wafcert_log_error == NULL
        || log->handler != ngx_http_wafcert_log_error
        || ctx == NULL || ctx->request == NULL)
    {
        return;
    }

    ngx_http_wafcert_mask_tokens(ctx->request, buf, p);

    if (ctx->current_request && ctx->current_request != ctx->request) {
        ngx_http_wafcert_mask_tokens(ctx->current_request, buf, p);
    }
}


/*
 * Where a line begins to tell what may be a secret, and nobody knows where that
 * ends.
 */

static u_char *
ngx_http_wafcert_mask_from(u_char *buf, u_char *end)
{
    u_char      *p, *name;
    ngx_uint_t   i;

    /* values of variables; and a key in whatever is quoted */

    static const char  *values[] = {
        "http script var: \"",
        "http script capture: \"",
        "PRIVATE KEY-----"
    };

    /* bytes of a body, if its length was wrong */

    static const char  *requests[] = {
        "client sent invalid method",
        "client sent invalid request",
        "client sent invalid version"
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        p = ngx_http_wafcert_mask_after(buf, end, values[i]);
        end = p ? p : end;
    }

    for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        p = ngx_http_wafcert_mask_after(buf, end, requests[i]);
        p = p ? ngx_http_wafcert_mask_after(p, end, " request: \"") : NULL;
        end = p ? p : end;
    }

    /* "client sent too long header line", "... invalid header line" */

    name = ngx_http_wafcert_mask_after(buf, end, " header line: \"");

    if (name) {
        p = ngx_strlchr(name, end, ':');

        /* without a name it may be the rest of a token */

        if (p == NULL || ngx_strlchr(name, p, '"')) {
            return name;
        }

        p++;

        return (p < end && *p == ' ') ? p + 1 : p;
    }

    return ngx_http_wafcert_mask_header(buf, end);
}


static u_char *
ngx_http_wafcert_mask_after(u_char *p, u_char *end, const char *text)
{
    size_t  len;

    len = ngx_strlen(text);

    p = memmem(p, end - p, text, len);

    return p ? p + len : NULL;
}


/*
 * "X-Auth-Token: value" of HTTP/1, which a line of nginx's log may begin with
 * as well, "x-auth-token":"value" of QPACK, "HTTP_X_AUTH_TOKEN: value" of
 * uwsgi, FastCGI and SCGI, and "x-auth-token" with invalid value: "value"
 */

static u_char *
ngx_http_wafcert_mask_header(u_char *buf, u_char *end)
{
    u_char  *p, *name;

    for (p = buf; p < end; /* void */ ) {

        p = ngx_strlcasestrn(p, end, (u_char *) "token", 5 - 1);
        if (p == NULL) {
            return end;
        }

        for (name = p; name > buf; name--) {
            if (name[-1] != '-' && name[-1] != '_'
                && !(name[-1] >= '0' && name[-1] <= '9')
                && !((name[-1] | 0x20) >= 'a' && (name[-1] | 0x20) <= 'z'))
            {
                break;
            }
        }

        p += sizeof("token") - 1;

        /* what is no text may have been a line's end */

        if (name == buf
            || (name[-1] != '"' && name[-1] >= ' ' && name[-1] < 0x7f))
        {
            continue;
        }

        if (end - p >= (ssize_t) sizeof("\" with invalid value:") - 1
            && ngx_strncmp(p, "\" with invalid value:",
                           sizeof("\" with invalid value:") - 1)
               == 0)
        {
            return p + sizeof("\" with invalid value:") - 1;
        }

        if (p < end && *p == '"') {
            p++;
        }

        if (p < end && *p == ':') {
            p++;
            return (p < end && *p == ' ') ? p + 1 : p;
        }
    }

    return end;
}


/* what other lines tell of a request's token, and may be made of it */

static void
ngx_http_wafcert_mask_tokens(ngx_http_request_t *r, u_char *buf, u_char *end)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("X-Auth-Token") - 1
                && ngx_strncasecmp(h[i].key.data, (u_char *) "X-Auth-Token",
                                   sizeof("X-Auth-Token") - 1)
                   == 0)
            {
                ngx_http_wafcert_mask_token(&h[i].value, buf, end);
            }
        }
    }
}


/*
 * All of it, or a part: a line may be cut, and a regular expression takes what
 * it wants.  Its characters are a client's to choose, and must not hide who
 * that is: nothing with a blank, a comma or a colon is looked for.
 */

static void
ngx_http_wafcert_mask_token(ngx_str_t *token, u_char *buf, u_char *end)
{
    u_char  *p, *t, *last;
    size_t   i;

    last = token->data + token->len;

    for (i = 0;
         i + NGX_HTTP_WAFCERT_TOKEN_PART <= token->len;
         i += NGX_HTTP_WAFCERT_TOKEN_PART / 2)
    {
        t = token->data + i;

        for (p = t; p < t + NGX_HTTP_WAFCERT_TOKEN_PART; p++) {
            if (*p == ' ' || *p == ',' || *p == ':') {
                break;
            }
        }

        if (p < t + NGX_HTTP_WAFCERT_TOKEN_PART) {
            continue;
        }

        for (p = buf; p < end; /* void */ ) {

            p = memmem(p, end - p, t, NGX_HTTP_WAFCERT_TOKEN_PART);
            if (p == NULL) {
                break;
            }

            while (p > buf && t > token->data && p[-1] == t[-1]) {
                p--;
                t--;
            }

            while (p < end && t < last && *p == *t) {
                *p++ = '*';
                t++;
            }

            t = token->data + i;
        }
    }
}


ngx_int_t
ngx_http_wafcert_log_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt           *h;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wafcert_module);

    if (wmcf->zones.nelts == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_POST_READ_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_wafcert_log_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_wafcert_log_header_filter;

    return NGX_OK;
}


/* before anything is made of the request's header */

static ngx_int_t
ngx_http_wafcert_log_handler(ngx_http_request_t *r)
{
    ngx_http_wafcert_log_error = r->connection->log->handler;

    return NGX_DECLINED;
}


/*
 * What follows another request, and is none, may be its body: access logs
 * have it as "$request".
 */

static ngx_int_t
ngx_http_wafcert_log_header_filter(ngx_http_request_t *r)
{
    if (r->method_name.len == 0 && r->connection->requests > 1
        && r->headers_out.status == NGX_HTTP_BAD_REQUEST)
    {
        ngx_str_set(&r->request_line, "");
    }

    return ngx_http_next_header_filter(r);
}
