
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"


#define NGX_HTTP_WAFCERT_SERVICE_MAX  65536     /* bytes of a file */


/*
 * The token that the IAM service is asked with.  Each process reads it again
 * when the file is another one, or newer.
 */

struct ngx_http_wafcert_service_s {
    ngx_str_t         file;
    ngx_str_t         token;
    u_char           *buf;          /* what it stands in */
    time_t            checked;
    time_t            mtime;
    ngx_file_uniq_t   uniq;
};


static void ngx_http_wafcert_service_cleanup(void *data);
static void ngx_http_wafcert_service_check(
    ngx_http_wafcert_service_t *service, ngx_log_t *log);
static ngx_int_t ngx_http_wafcert_service_read(
    ngx_http_wafcert_service_t *service, ngx_uint_t level, ngx_log_t *log);
static ngx_int_t ngx_http_wafcert_service_read_file(
    ngx_http_wafcert_service_t *service, ngx_file_t *file,
    ngx_uint_t level, u_char *buf);
static ngx_int_t ngx_http_wafcert_service_trim(ngx_str_t *token);


char *
ngx_http_wafcert_auth_service(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    ngx_str_t                   *value;
    ngx_pool_cleanup_t          *cln;
    ngx_http_wafcert_service_t  *service;

    if (wlcf->service != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->service = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[1].data, "token_file=", 11) != 0
        || value[1].len == 11)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_wafcert_service_t));
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    service = cln->data;
    ngx_memzero(service, sizeof(ngx_http_wafcert_service_t));

    cln->handler = ngx_http_wafcert_service_cleanup;

    service->file.data = value[1].data + 11;
    service->file.len = value[1].len - 11;

    if (ngx_conf_full_name(cf->cycle, &service->file, 1) != NGX_OK
        || ngx_http_wafcert_service_read(service, NGX_LOG_EMERG, cf->log)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    wlcf->service = service;

    return NGX_CONF_OK;
}


static void
ngx_http_wafcert_service_cleanup(void *data)
{
    ngx_http_wafcert_service_t  *service = data;

    if (service->buf) {
        ngx_explicit_memzero(service->buf, NGX_HTTP_WAFCERT_SERVICE_MAX);
        ngx_free(service->buf);
    }
}


/* a copy, for the file may change while the request is under way */

ngx_int_t
ngx_http_wafcert_service_token(ngx_http_request_t *r,
    ngx_http_wafcert_service_t *service, ngx_str_t *token)
{
    ngx_buf_t  *b;

    ngx_http_wafcert_service_check(service, r->connection->log);

    b = ngx_http_wafcert_buf(r->pool, service->token.len, 1);
    if (b == NULL) {
        return NGX_ERROR;
    }

    token->data = b->pos;
    token->len = service->token.len;

    ngx_memcpy(token->data, service->token.data, token->len);

    return NGX_OK;
}


/* a file that cannot be read leaves the token that was read before */

static void
ngx_http_wafcert_service_check(ngx_http_wafcert_service_t *service,
    ngx_log_t *log)
{
    ngx_file_info_t  fi;

    if (service->checked == ngx_time()) {
        return;
    }

    service->checked = ngx_time();

    if (ngx_file_info(service->file.data, &fi) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      ngx_file_info_n " \"%V\" failed", &service->file);
        return;
    }

    if (ngx_file_mtime(&fi) == service->mtime
        && ngx_file_uniq(&fi) == service->uniq)
    {
        return;
    }

    (void) ngx_http_wafcert_service_read(service, NGX_LOG_CRIT, log);
}


static ngx_int_t
ngx_http_wafcert_service_read(ngx_http_wafcert_service_t *service,
    ngx_uint_t level, ngx_log_t *log)
{
    u_char      *buf;
    ngx_int_t    rc;
    ngx_file_t   file;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = service->file;
    file.log = log;

    /* a FIFO, which is refused below, must not be waited for */

    file.fd = ngx_open_file(service->file.data,
                            NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_log_error(level, log, ngx_errno,
                      ngx_open_file_n " \"%V\" failed", &service->file);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    buf = ngx_alloc(NGX_HTTP_WAFCERT_SERVICE_MAX, log);

    if (buf) {
        rc = ngx_http_wafcert_service_read_file(service, &file, level, buf);

        if (rc != NGX_OK) {
            ngx_explicit_memzero(buf, NGX_HTTP_WAFCERT_SERVICE_MAX);
            ngx_free(buf);
        }
    }

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &service->file);
    }

    return rc;
}


static ngx_int_t
ngx_http_wafcert_service_read_file(ngx_http_wafcert_service_t *service,
    ngx_file_t *file, ngx_uint_t level, u_char *buf)
{
    off_t      size;
    ssize_t    n;
    ngx_str_t  token;

    if (ngx_fd_info(file->fd, &file->info) == NGX_FILE_ERROR) {
        ngx_log_error(level, file->log, ngx_errno,
                      ngx_fd_info_n " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    size = ngx_file_size(&file->info);

    if (!ngx_is_file(&file->info) || size > NGX_HTTP_WAFCERT_SERVICE_MAX) {
        ngx_log_error(level, file->log, 0,
                      "\"%V\" is not a file of at most %d bytes",
                      &file->name, NGX_HTTP_WAFCERT_SERVICE_MAX);
        return NGX_ERROR;
    }

    n = ngx_read_file(file, buf, (size_t) size, 0);

    if (n == NGX_ERROR) {
        ngx_log_error(level, file->log, ngx_errno,
                      ngx_read_file_n " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    token.data = buf;
    token.len = n;

    if (ngx_http_wafcert_service_trim(&token) != NGX_OK) {
        ngx_log_error(level, file->log, 0,
                      "there is not one token, and nothing else, in \"%V\"",
                      &file->name);
        return NGX_ERROR;
    }

    ngx_http_wafcert_service_cleanup(service);

    service->buf = buf;
    service->token = token;
    service->uniq = ngx_file_uniq(&file->info);
    service->mtime = ngx_file_mtime(&file->info);

    /* it may yet change within the second */

    if (service->mtime >= ngx_time() - 1) {
        service->mtime = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_service_trim(ngx_str_t *token)
{
    u_char  *p, *last;

    p = token->data;
    last = p + token->len;

    while (p < last && (*p == ' ' || *p == '\t' || *p == CR || *p == LF)) {
        p++;
    }

    while (p < last && (last[-1] == ' ' || last[-1] == '\t'
                        || last[-1] == CR || last[-1] == LF))
    {
        last--;
    }

    token->data = p;
    token->len = last - p;

    if (token->len == 0) {
        return NGX_ERROR;
    }

    for ( /* void */ ; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
