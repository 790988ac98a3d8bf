
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"


static void ngx_http_wafcert_unguard_log(void *data);
static void ngx_http_wafcert_mask_token(ngx_log_t *log, ngx_uint_t level,
    u_char *buf, size_t len);


/*
 * nginx itself logs request headers: all of them with debug_http, and at
 * "info" the start of one that is too long.  It hands one and the same buffer
 * to each log of a chain, so a log that comes first and only masks keeps
 * tokens out of the others, whatever they write to.  Connections copy the
 * head of the chain, hence the swap.
 */

ngx_int_t
ngx_http_wafcert_guard_log(ngx_conf_t *cf, ngx_log_t *log)
{
    ngx_log_t           *next;
    ngx_pool_cleanup_t  *cln;

    if (log->writer == ngx_http_wafcert_mask_token
        || log->log_level < NGX_LOG_INFO)
    {
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

    log->writer = ngx_http_wafcert_mask_token;
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

        if (log->writer == ngx_http_wafcert_mask_token) {
            *log = *log->next;
            return;
        }
    }
}


static void
ngx_http_wafcert_mask_token(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len)
{
    u_char  *p, *end;

    end = buf + len;

    /* a variable's value, which may be a token, and its name is not told */

    p = (level == NGX_LOG_DEBUG)
        ? ngx_strlcasestrn(buf, end, (u_char *) "http script var: \"", 18 - 1)
        : NULL;

    if (p) {
        for (p += 18; p < end && *p != LF; p++) {
            *p = '*';
        }

        return;
    }

    for (p = buf; p < end; /* void */ ) {

        p = ngx_strlcasestrn(p, end, (u_char *) "token", 5 - 1);
        if (p == NULL) {
            return;
        }

        p += sizeof("token") - 1;

        /*
         * "X-Auth-Token: value" of HTTP/1, "x-auth-token":"value" of QPACK,
         * "HTTP_X_AUTH_TOKEN: value" of uwsgi, FastCGI and SCGI
         */

        if (p == end || (*p != ':' && *p != '"')
            || p - buf < (ssize_t) sizeof("-token") - 1
            || (p[-6] != '-' && p[-6] != '_'))
        {
            continue;
        }

        while (p < end && (*p == ':' || *p == ' ' || *p == '"')) {
            p++;
        }

        while (p < end && *p != '"' && *p != CR && *p != LF) {
            *p++ = '*';
        }
    }
}
