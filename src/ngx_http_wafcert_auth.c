
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include <openssl/crypto.h>


#define NGX_HTTP_WAFCERT_FILE_MAX  (1024 * 1024)   /* bytes of a file */


static ngx_int_t ngx_http_wafcert_token_listed(ngx_http_request_t *r,
    ngx_str_t *value, ngx_uint_t write);
static ngx_table_elt_t *ngx_http_wafcert_token_header(ngx_http_request_t *r,
    ngx_uint_t *n);
static ngx_uint_t ngx_http_wafcert_token_match(
    ngx_http_wafcert_token_t *token, u_char *sha256);
static ngx_int_t ngx_http_wafcert_token_missing(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_roles(ngx_str_t *value, ngx_str_t *roles);
static char *ngx_http_wafcert_tokens(ngx_conf_t *cf, ngx_array_t **tokens,
    ngx_str_t *file);
static char *ngx_http_wafcert_token_parse(ngx_conf_t *cf,
    ngx_array_t *tokens, u_char *p, u_char *last);
static ngx_str_t ngx_http_wafcert_token_word(u_char **p, u_char *last);


ngx_int_t
ngx_http_wafcert_authorize(ngx_http_request_t *r, ngx_uint_t write,
    ngx_http_wafcert_handler_pt handler)
{
    ngx_uint_t                    n;
    ngx_table_elt_t              *h;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (wlcf->auth != NGX_HTTP_WAFCERT_AUTH_TOKENS
        && wlcf->auth != NGX_HTTP_WAFCERT_AUTH_REQUEST)
    {
        return NGX_OK;
    }

    h = ngx_http_wafcert_token_header(r, &n);

    if (n > 1) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_INVALID,
                              "the request has %lu X-Auth-Token headers",
                              (unsigned long) n);
    }

    if (h == NULL || h->value.len == 0) {
        return ngx_http_wafcert_token_missing(r, ctx);
    }

    if (wlcf->auth == NGX_HTTP_WAFCERT_AUTH_REQUEST) {
        return ngx_http_wafcert_iam(r, &h->value, write, handler);
    }

    return ngx_http_wafcert_token_listed(r, &h->value, write);
}


/* Clients of this cloud may sign their requests instead. */

static ngx_int_t
ngx_http_wafcert_token_missing(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    static ngx_str_t  scheme = ngx_string("SDK-HMAC-SHA256");

    h = r->headers_in.authorization;

    if (h == NULL) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_MISSING,
                              "the request has no X-Auth-Token");
    }

    if (h->value.len < scheme.len
        || ngx_strncasecmp(h->value.data, scheme.data, scheme.len) != 0)
    {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_MISSING,
                              "the request has no X-Auth-Token, and its "
                              "Authorization header is not looked at");
    }

    (void) wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_MISSING,
                          "the request has no X-Auth-Token, and its "
                          "signature by AK and SK (SDK-HMAC-SHA256) is not "
                          "judged here");
    wafcert_hint(&ctx->verdict, "log in at the IAM service and send the token "
                 "in X-Auth-Token; signatures are judged by the WAF, also "
                 "behind an edge that has no wafcert_auth");

    return NGX_DECLINED;
}


/*
 * A token may stand in several lines, one for each project; where the request
 * has none, any will do.  All lines are compared, and whole, whichever matches:
 * the time tells nothing.
 */

static ngx_int_t
ngx_http_wafcert_token_listed(ngx_http_request_t *r, ngx_str_t *value,
    ngx_uint_t write)
{
    u_char                         sha256[WAFCERT_SHA256_LEN];
    ngx_uint_t                     i, known;
    ngx_http_wafcert_ctx_t        *ctx;
    ngx_http_wafcert_token_t      *token, *granted;
    ngx_http_wafcert_loc_conf_t   *wlcf;
    ngx_http_wafcert_main_conf_t  *wmcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (wafcert_sha256(wmcf->validator, value, sha256) != NGX_OK) {
        return ngx_http_wafcert_no_memory(ctx);
    }

    known = 0;
    granted = NULL;
    token = wlcf->tokens->elts;

    for (i = 0; i < wlcf->tokens->nelts; i++) {

        if (!ngx_http_wafcert_token_match(&token[i], sha256)) {
            continue;
        }

        known = 1;
        ctx->label = token[i].label;

        if (token[i].project.len && ctx->project.len
            && (token[i].project.len != ctx->project.len
                || ngx_memcmp(token[i].project.data, ctx->project.data,
                              ctx->project.len)
                   != 0))
        {
            continue;
        }

        if (granted == NULL || !granted->write) {
            granted = &token[i];
        }
    }

    if (!known) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_INVALID,
                              "the X-Auth-Token is not known, or no longer");
    }

    if (granted == NULL) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_PROJECT,
                              "the X-Auth-Token is not for project \"%.*s\"",
                              (int) ctx->project.len, ctx->project.data);
    }

    ctx->label = granted->label;

    if (write && !granted->write) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_ROLE,
                              "the X-Auth-Token may read certificates of the "
                              "project and not change them");
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_wafcert_token_match(ngx_http_wafcert_token_t *token, u_char *sha256)
{
    return CRYPTO_memcmp(token->sha256, sha256, WAFCERT_SHA256_LEN) == 0;
}


static ngx_table_elt_t *
ngx_http_wafcert_token_header(ngx_http_request_t *r, ngx_uint_t *n)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *found;

    *n = 0;
    found = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("x-auth-token") - 1
                && ngx_strncmp(h[i].lowcase_key, "x-auth-token",
                               sizeof("x-auth-token") - 1)
                   == 0)
            {
                found = &h[i];
                (*n)++;
            }
        }
    }

    return found;
}


char *
ngx_http_wafcert_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    ngx_str_t  *value, file;

    if (wlcf->auth != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "all=", 4) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive", &value[0]);
            return NGX_CONF_ERROR;
        }

        if (ngx_strcmp(value[2].data, "all=on") != 0
            || ngx_strcmp(value[1].data, "off") == 0)
        {
            return ngx_http_wafcert_invalid(cf, &value[2]);
        }
    }

    wlcf->auth_all = (cf->args->nelts == 3);

    if (ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->auth = NGX_HTTP_WAFCERT_AUTH_OFF;
        return NGX_CONF_OK;
    }

    if (ngx_http_wafcert_parameter(&value[1], "tokens=", &file)) {
        wlcf->auth = NGX_HTTP_WAFCERT_AUTH_TOKENS;
        return ngx_http_wafcert_tokens(cf, &wlcf->tokens, &file);
    }

    if (ngx_strncmp(value[1].data, "request=/", 9) == 0) {
        wlcf->iam_uri.data = value[1].data + 8;
        wlcf->iam_uri.len = value[1].len - 8;

        wlcf->auth = NGX_HTTP_WAFCERT_AUTH_REQUEST;
        return NGX_CONF_OK;
    }

    return ngx_http_wafcert_invalid(cf, &value[1]);
}


char *
ngx_http_wafcert_auth_roles(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    ngx_str_t   *value, *roles;
    ngx_uint_t   i;

    if (wlcf->read_roles.data) {
        return "is duplicate";
    }

    ngx_str_set(&wlcf->read_roles, "");
    ngx_str_set(&wlcf->write_roles, "");

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "read=", 5) == 0) {
            roles = &wlcf->read_roles;

        } else if (ngx_strncmp(value[i].data, "write=", 6) == 0) {
            roles = &wlcf->write_roles;

        } else {
            return ngx_http_wafcert_invalid(cf, &value[i]);
        }

        if (roles->len
            || ngx_http_wafcert_roles(&value[i], roles) != NGX_OK)
        {
            return ngx_http_wafcert_invalid(cf, &value[i]);
        }
    }

    if (wlcf->write_roles.len == 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"wafcert_auth_roles\" has no \"write\": any "
                           "role may change certificates");
    }

    return NGX_CONF_OK;
}


/* names with a "," between each two */

static ngx_int_t
ngx_http_wafcert_roles(ngx_str_t *value, ngx_str_t *roles)
{
    u_char  *p, *last;

    last = value->data + value->len;

    roles->data = (u_char *) ngx_strchr(value->data, '=') + 1;
    roles->len = last - roles->data;

    if (roles->len == 0 || last[-1] == ',') {
        return NGX_ERROR;
    }

    for (p = roles->data; p < last; p++) {
        if (*p == ',' && (p == roles->data || p[-1] == ',')) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static char *
ngx_http_wafcert_tokens(ngx_conf_t *cf, ngx_array_t **tokens, ngx_str_t *file)
{
    char        *rv;
    u_char      *p, *last, *end;
    ngx_str_t    text;
    ngx_uint_t   line;

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    *tokens = ngx_array_create(cf->pool, 4, sizeof(ngx_http_wafcert_token_t));
    if (*tokens == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_wafcert_read_file(cf, cf->pool, file, &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    end = text.data + text.len;
    line = 1;

    for (p = text.data; p < end; p = last + 1) {

        last = ngx_strlchr(p, end, LF);
        if (last == NULL) {
            last = end;
        }

        rv = ngx_http_wafcert_token_parse(cf, *tokens, p, last);

        if (rv != NGX_CONF_OK) {
            if (rv != NGX_CONF_ERROR) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "%s in \"%V\", line %ui", rv, file, line);
            }

            return NGX_CONF_ERROR;
        }

        line++;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_wafcert_read_file(ngx_conf_t *cf, ngx_pool_t *pool, ngx_str_t *file,
    ngx_str_t *text)
{
    off_t        size;
    ssize_t      n;
    ngx_int_t    rc;
    ngx_file_t   f;

    ngx_memzero(&f, sizeof(ngx_file_t));

    f.name = *file;
    f.log = cf->log;

    f.fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (f.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", file);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(f.fd, &f.info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", file);
        goto done;
    }

    size = ngx_file_size(&f.info);

    if (!ngx_is_file(&f.info) || size > NGX_HTTP_WAFCERT_FILE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a file of at most %d bytes", file,
                           NGX_HTTP_WAFCERT_FILE_MAX);
        goto done;
    }

    text->data = ngx_pnalloc(pool, (size_t) size + 1);
    if (text->data == NULL) {
        goto done;
    }

    n = ngx_read_file(&f, text->data, (size_t) size, 0);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_file_n " \"%V\" failed", file);
        goto done;
    }

    text->len = n;
    rc = NGX_OK;

done:

    if (ngx_close_file(f.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", file);
    }

    return rc;
}


/*
 * "sha256-hex project|* read|write [label]".  A message never quotes the first
 * word: somebody may have written the token itself.
 */

static char *
ngx_http_wafcert_token_parse(ngx_conf_t *cf, ngx_array_t *tokens, u_char *p,
    u_char *last)
{
    ngx_int_t                  n;
    ngx_str_t                  hash, project, access, label;
    ngx_uint_t                 i;
    ngx_http_wafcert_token_t  *token;

    hash = ngx_http_wafcert_token_word(&p, last);

    if (hash.len == 0 || hash.data[0] == '#') {
        return NGX_CONF_OK;
    }

    project = ngx_http_wafcert_token_word(&p, last);
    access = ngx_http_wafcert_token_word(&p, last);
    label = ngx_http_wafcert_token_word(&p, last);

    if (access.len == 0) {
        return "too few words for a token";
    }

    token = ngx_array_push(tokens);
    if (token == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(token, sizeof(ngx_http_wafcert_token_t));

    if (hash.len != 2 * WAFCERT_SHA256_LEN) {
        return "a SHA-256 that has not 64 hex digits";
    }

    for (i = 0; i < WAFCERT_SHA256_LEN; i++) {
        n = ngx_hextoi(&hash.data[2 * i], 2);

        if (n == NGX_ERROR) {
            return "a SHA-256 that has not 64 hex digits";
        }

        token->sha256[i] = (u_char) n;
    }

    if (project.len != 1 || project.data[0] != '*') {
        token->project = project;
    }

    if (access.len == 5 && ngx_strncmp(access.data, "write", 5) == 0) {
        token->write = 1;

    } else if (access.len != 4 || ngx_strncmp(access.data, "read", 4) != 0) {
        return "an access that is neither \"read\" nor \"write\"";
    }

    if (label.len && label.data[0] != '#') {
        token->label = label;
    }

    return NGX_CONF_OK;
}


static ngx_str_t
ngx_http_wafcert_token_word(u_char **p, u_char *last)
{
    ngx_str_t  word;

    while (*p < last && (**p == ' ' || **p == '\t' || **p == CR)) {
        (*p)++;
    }

    word.data = *p;

    while (*p < last && **p != ' ' && **p != '\t' && **p != CR) {
        (*p)++;
    }

    word.len = *p - word.data;

    return word;
}
