
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include "ngx_wafcert_tokens.h"
#include "wafcert_json_token.h"


#define NGX_HTTP_WAFCERT_ANSWER_MIN  8192
#define NGX_HTTP_WAFCERT_ANSWER_MAX  (256 * 1024)


/*
 * A question about a token, which belongs to a request.  One of several equal
 * ones is asked, and the others wait for its answer.  When its request ends
 * without one, as its client went away, the next is asked.
 */

struct ngx_http_wafcert_iam_s {
    ngx_queue_t                   queue;        /* if "queued" */
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_handler_pt   handler;

    u_char                        digest[WAFCERT_SHA256_LEN];
    ngx_wafcert_grant_t           grant;
    ngx_int_t                     rc;           /* NGX_AGAIN: no answer yet */

    ngx_buf_t                    *answer;
    unsigned                      queued:1;
    unsigned                      asked:1;      /* if not, it waits */
    unsigned                      too_large:1;
};


static ngx_http_wafcert_iam_t *ngx_http_wafcert_iam_create(
    ngx_http_request_t *r, ngx_str_t *token);
static ngx_int_t ngx_http_wafcert_iam_verdict(ngx_http_request_t *r,
    ngx_http_wafcert_iam_t *iam, ngx_uint_t write);
static ngx_int_t ngx_http_wafcert_iam_ask(ngx_http_request_t *r,
    ngx_http_wafcert_iam_t *iam, ngx_str_t *token);
static ngx_int_t ngx_http_wafcert_iam_headers(ngx_http_request_t *r,
    ngx_http_headers_in_t *headers, ngx_str_t *asker, ngx_str_t *subject);
static ngx_int_t ngx_http_wafcert_iam_header(ngx_http_headers_in_t *headers,
    const char *key, const char *lowcase_key, ngx_str_t *value);
static void ngx_http_wafcert_iam_wait(ngx_http_request_t *r,
    ngx_http_wafcert_iam_t *iam);
static void ngx_http_wafcert_iam_event(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_iam_resume(ngx_http_request_t *r);

static ngx_queue_t *ngx_http_wafcert_iam_queue(ngx_http_wafcert_iam_t *iam);
static ngx_http_wafcert_iam_t *ngx_http_wafcert_iam_same(
    ngx_http_wafcert_iam_t *iam, ngx_uint_t asked);
static void ngx_http_wafcert_iam_wake(ngx_http_wafcert_iam_t *iam);
static void ngx_http_wafcert_iam_next(ngx_http_wafcert_iam_t *iam);

static ngx_int_t ngx_http_wafcert_iam_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_http_wafcert_iam_share(ngx_http_wafcert_iam_t *iam);
static ngx_int_t ngx_http_wafcert_iam_judge(ngx_http_request_t *sr,
    ngx_http_wafcert_iam_t *iam, ngx_uint_t status);
static ngx_int_t ngx_http_wafcert_iam_read(ngx_http_wafcert_iam_t *iam,
    ngx_log_t *log);
static void ngx_http_wafcert_iam_grant(ngx_http_wafcert_iam_t *iam,
    wafcert_token_t *token);
static ngx_uint_t ngx_http_wafcert_iam_has_role(ngx_str_t *roles,
    wafcert_token_t *token);

static ngx_int_t ngx_http_wafcert_iam_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_wafcert_iam_collect(ngx_http_request_t *r,
    ngx_http_wafcert_iam_t *iam, ngx_buf_t *in);


static ngx_http_output_body_filter_pt  ngx_http_next_body_filter;

/* the worker's questions that have no answer yet, by "digest" */
static ngx_queue_t  ngx_http_wafcert_iam_queues[256];


ngx_int_t
ngx_http_wafcert_iam(ngx_http_request_t *r, ngx_str_t *token,
    ngx_uint_t write, ngx_http_wafcert_handler_pt handler)
{
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_iam_t       *iam;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (ctx->iam == NULL) {
        ctx->iam = ngx_http_wafcert_iam_create(r, token);
        if (ctx->iam == NULL) {
            return ngx_http_wafcert_no_memory(ctx);
        }
    }

    iam = ctx->iam;

    if (iam->queued) {
        return NGX_AGAIN;
    }

    if (iam->rc == NGX_AGAIN) {
        iam->rc = ngx_wafcert_tokens_find(wlcf->shm_zone->data, iam->digest,
                                          wlcf->auth_cache, &iam->grant);

        if (iam->rc == NGX_DECLINED) {
            iam->handler = handler;
            iam->rc = NGX_AGAIN;

            if (ngx_http_wafcert_iam_same(iam, 1)) {
                ngx_http_wafcert_iam_wait(r, iam);
                return NGX_AGAIN;
            }

            iam->rc = ngx_http_wafcert_iam_ask(r, iam, token);

            if (iam->rc == NGX_AGAIN) {
                return NGX_AGAIN;
            }
        }

        /* there was no need to ask, or no way to */

        ngx_http_wafcert_iam_next(iam);
    }

    return ngx_http_wafcert_iam_verdict(r, iam, write);
}


static ngx_http_wafcert_iam_t *
ngx_http_wafcert_iam_create(ngx_http_request_t *r, ngx_str_t *token)
{
    ngx_http_wafcert_iam_t        *iam;
    ngx_http_wafcert_loc_conf_t   *wlcf;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    iam = ngx_pcalloc(r->pool, sizeof(ngx_http_wafcert_iam_t));
    if (iam == NULL) {
        return NULL;
    }

    iam->ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    iam->rc = NGX_AGAIN;

    if (ngx_wafcert_tokens_digest(wlcf->shm_zone->data, wmcf->validator,
                                  &wlcf->iam_scope, token, iam->digest)
        != NGX_OK)
    {
        return NULL;
    }

    return iam;
}


static ngx_int_t
ngx_http_wafcert_iam_verdict(ngx_http_request_t *r,
    ngx_http_wafcert_iam_t *iam, ngx_uint_t write)
{
    ngx_wafcert_grant_t     *grant;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    grant = &iam->grant;

    if (iam->rc != NGX_OK) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_IAM_UNAVAILABLE,
                              "the IAM service does not tell whether the "
                              "X-Auth-Token is valid");
    }

    if (!grant->valid) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_INVALID,
                              "the IAM service does not know the "
                              "X-Auth-Token, or no longer");
    }

    ctx->label.data = grant->user;
    ctx->label.len = grant->user_len;

    /* what is no route is no project's, and needs no role */

    if (ctx->project.len == 0) {
        return NGX_OK;
    }

    if (grant->project_len != ctx->project.len
        || ngx_memcmp(grant->project, ctx->project.data, ctx->project.len)
           != 0)
    {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_PROJECT,
                              "the X-Auth-Token is not for project \"%.*s\"",
                              (int) ctx->project.len, ctx->project.data);
    }

    if (write ? !grant->write : !grant->read) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_TOKEN_ROLE,
                              "the X-Auth-Token has no role that may %s "
                              "certificates of the project",
                              write ? "change" : "read");
    }

    return NGX_OK;
}


/* NGX_AGAIN: it is asked, NGX_ERROR: it cannot be */

static ngx_int_t
ngx_http_wafcert_iam_ask(ngx_http_request_t *r, ngx_http_wafcert_iam_t *iam,
    ngx_str_t *token)
{
    ngx_str_t                     asker;
    ngx_http_request_t           *sr;
    ngx_http_headers_in_t         headers;
    ngx_http_request_body_t      *body;
    ngx_http_post_subrequest_t   *ps;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    asker = *token;

    if (wlcf->service
        && ngx_http_wafcert_service_token(r, wlcf->service, &asker) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    body = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));

    if (ps == NULL || body == NULL
        || ngx_http_wafcert_iam_headers(r, &headers, &asker, token) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_wafcert_iam_done;
    ps->data = iam;

    if (ngx_http_subrequest(r, &wlcf->iam_uri, NULL, &sr, ps,
                            NGX_HTTP_SUBREQUEST_IN_MEMORY
                            |NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* its list begins with a part that is in it */

    sr->headers_in = headers;
    sr->headers_in.headers.last = &sr->headers_in.headers.part;

    /* the client's body has not been read, and is not for the IAM service */
    sr->request_body = body;

    iam->asked = 1;
    iam->queued = 1;
    ngx_queue_insert_tail(ngx_http_wafcert_iam_queue(iam), &iam->queue);

    r->write_event_handler = ngx_http_wafcert_iam_resume;

    return NGX_AGAIN;
}


/*
 * Nothing of the client's header but the token, and that never through a
 * variable: nginx logs what it makes of them.
 */

static ngx_int_t
ngx_http_wafcert_iam_headers(ngx_http_request_t *r,
    ngx_http_headers_in_t *headers, ngx_str_t *asker, ngx_str_t *subject)
{
    ngx_str_t  accept;

    ngx_memzero(headers, sizeof(ngx_http_headers_in_t));

    headers->server = r->headers_in.server;
    headers->content_length_n = -1;
    headers->keep_alive_n = -1;

    ngx_str_set(&accept, "application/json");

    if (ngx_list_init(&headers->headers, r->pool, 3, sizeof(ngx_table_elt_t))
        != NGX_OK
        || ngx_http_wafcert_iam_header(headers, "Accept", "accept", &accept)
           != NGX_OK
        || ngx_http_wafcert_iam_header(headers, "X-Auth-Token",
                                       "x-auth-token", asker)
           != NGX_OK
        || ngx_http_wafcert_iam_header(headers, "X-Subject-Token",
                                       "x-subject-token", subject)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_iam_header(ngx_http_headers_in_t *headers, const char *key,
    const char *lowcase_key, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&headers->headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->key.data = (u_char *) key;
    h->key.len = ngx_strlen(key);
    h->lowcase_key = (u_char *) lowcase_key;
    h->hash = ngx_hash_key(h->lowcase_key, h->key.len);
    h->value = *value;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}


static void
ngx_http_wafcert_iam_wait(ngx_http_request_t *r, ngx_http_wafcert_iam_t *iam)
{
    iam->queued = 1;
    ngx_queue_insert_tail(ngx_http_wafcert_iam_queue(iam), &iam->queue);

    ngx_http_wafcert_set_event(r, iam->ctx, ngx_http_wafcert_iam_event);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static void
ngx_http_wafcert_iam_event(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    if (ngx_http_get_module_ctx(r, ngx_http_wafcert_module) == ctx) {
        ngx_http_wafcert_iam_resume(r);
        return;
    }

    /* post_action: nobody waits for the verdict */

    ngx_http_wafcert_iam_next(ctx->iam);
}


static void
ngx_http_wafcert_iam_resume(ngx_http_request_t *r)
{
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    if (ctx->iam->queued) {
        return;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    /* the upstream has left its own */
    r->connection->log->action = NULL;

    ctx->iam->handler(r);
}


static ngx_queue_t *
ngx_http_wafcert_iam_queue(ngx_http_wafcert_iam_t *iam)
{
    ngx_queue_t  *queue;

    queue = &ngx_http_wafcert_iam_queues[iam->digest[0]];

    if (queue->next == NULL) {
        ngx_queue_init(queue);
    }

    return queue;
}


/* an equal one that is asked, or the first that waits */

static ngx_http_wafcert_iam_t *
ngx_http_wafcert_iam_same(ngx_http_wafcert_iam_t *iam, ngx_uint_t asked)
{
    ngx_queue_t             *q, *queue;
    ngx_http_wafcert_iam_t  *same;

    queue = ngx_http_wafcert_iam_queue(iam);

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        same = ngx_queue_data(q, ngx_http_wafcert_iam_t, queue);

        if (same->asked == asked
            && ngx_memcmp(same->digest, iam->digest, WAFCERT_SHA256_LEN) == 0)
        {
            return same;
        }
    }

    return NULL;
}


static void
ngx_http_wafcert_iam_wake(ngx_http_wafcert_iam_t *iam)
{
    ngx_queue_remove(&iam->queue);
    iam->queued = 0;

    ngx_post_event(&iam->ctx->event, &ngx_posted_events);
}


/* the first that waits has its turn, unless one is asked */

static void
ngx_http_wafcert_iam_next(ngx_http_wafcert_iam_t *iam)
{
    ngx_http_wafcert_iam_t  *next;

    if (ngx_http_wafcert_iam_same(iam, 1)) {
        return;
    }

    next = ngx_http_wafcert_iam_same(iam, 0);

    if (next) {
        ngx_http_wafcert_iam_wake(next);
    }
}


void
ngx_http_wafcert_iam_leave(ngx_http_wafcert_iam_t *iam)
{
    if (iam->queued) {
        ngx_queue_remove(&iam->queue);
        iam->queued = 0;
    }

    /* it was asked, or was to be asked next */

    if (iam->rc == NGX_AGAIN) {
        ngx_http_wafcert_iam_next(iam);
    }
}


/* the subrequest's end, whatever it came to */

static ngx_int_t
ngx_http_wafcert_iam_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_wafcert_iam_t *iam = data;

    ngx_uint_t                    status;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    /* all of the request is about to end, and will leave */

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST || sr->connection->error
        || !iam->queued)
    {
        return rc;
    }

    if (rc == NGX_ERROR) {
        status = NGX_HTTP_INTERNAL_SERVER_ERROR;

    } else {
        status = (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? (ngx_uint_t) rc
                                                   : sr->headers_out.status;
    }

    iam->rc = ngx_http_wafcert_iam_judge(sr, iam, status);

    ngx_queue_remove(&iam->queue);
    iam->queued = 0;

    wlcf = iam->ctx->conf;

    if (iam->rc == NGX_OK && wlcf->auth_cache) {
        ngx_wafcert_tokens_add(wlcf->shm_zone->data, iam->digest,
                               &iam->grant);
    }

    ngx_http_wafcert_iam_share(iam);

    /* there is no error page to be made of it */

    return NGX_OK;
}


/* with all that wait for the same answer */

static void
ngx_http_wafcert_iam_share(ngx_http_wafcert_iam_t *iam)
{
    ngx_queue_t             *q, *next, *queue;
    ngx_http_wafcert_iam_t  *same;

    queue = ngx_http_wafcert_iam_queue(iam);

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = next)
    {
        next = ngx_queue_next(q);
        same = ngx_queue_data(q, ngx_http_wafcert_iam_t, queue);

        if (ngx_memcmp(same->digest, iam->digest, WAFCERT_SHA256_LEN) == 0) {
            same->rc = iam->rc;
            same->grant = iam->grant;

            ngx_http_wafcert_iam_wake(same);
        }
    }
}


/* NGX_OK: "grant" is what it said.  NGX_ERROR: the log has why not. */

static ngx_int_t
ngx_http_wafcert_iam_judge(ngx_http_request_t *sr,
    ngx_http_wafcert_iam_t *iam, ngx_uint_t status)
{
    ngx_log_t                    *log;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    log = sr->connection->log;
    wlcf = iam->ctx->conf;

#if (NGX_HTTP_CACHE)

    /* to whatever question it was */

    if (sr->cached) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "IAM service at \"%V\" was not asked: the answer came "
                      "from a cache", &wlcf->iam_uri);
        return NGX_ERROR;
    }

#endif

    switch (status) {

    case NGX_HTTP_OK:
        return ngx_http_wafcert_iam_read(iam, log);

    case NGX_HTTP_UNAUTHORIZED:

        if (wlcf->service) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "IAM service at \"%V\" refused the token of "
                          "\"wafcert_auth_service\"", &wlcf->iam_uri);
            return NGX_ERROR;
        }

        return NGX_OK;

    case NGX_HTTP_NOT_FOUND:

        if (sr->upstream == NULL) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "there is no IAM service at \"%V\"",
                          &wlcf->iam_uri);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "IAM service at \"%V\" answered with status %ui",
                  &wlcf->iam_uri, status);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_wafcert_iam_read(ngx_http_wafcert_iam_t *iam, ngx_log_t *log)
{
    ngx_int_t                     rc;
    ngx_str_t                     answer;
    wafcert_token_t               token;
    wafcert_verdict_t             verdict;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = iam->ctx->conf;

    if (iam->too_large) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "IAM service at \"%V\" sent an answer larger than "
                      "%d bytes", &wlcf->iam_uri,
                      NGX_HTTP_WAFCERT_ANSWER_MAX);
        return NGX_ERROR;
    }

    ngx_str_null(&answer);

    if (iam->answer) {
        answer.data = iam->answer->pos;
        answer.len = iam->answer->last - iam->answer->pos;
    }

    rc = wafcert_json_token(&token, &answer, &verdict);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "IAM service at \"%V\" sent an answer of %uz bytes "
                      "that cannot be read: %s", &wlcf->iam_uri, answer.len,
                      rc == NGX_ERROR ? "no memory" : verdict.message);
        return NGX_ERROR;
    }

    if (token.expires > (int64_t) ngx_time()) {
        ngx_http_wafcert_iam_grant(iam, &token);

    } else {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "IAM service at \"%V\" answered for a token that "
                      "expired %L seconds ago", &wlcf->iam_uri,
                      (int64_t) ngx_time() - token.expires);
    }

    wafcert_json_token_free(&token);

    return NGX_OK;
}


static void
ngx_http_wafcert_iam_grant(ngx_http_wafcert_iam_t *iam,
    wafcert_token_t *token)
{
    u_char                       *p;
    ngx_uint_t                    i;
    ngx_wafcert_grant_t          *grant;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = iam->ctx->conf;

    grant = &iam->grant;

    grant->valid = 1;
    grant->expires = token->expires;

    /* no project of a request has a longer id */

    if (token->project.len && token->project.len <= NGX_WAFCERT_PROJECT_LEN) {
        grant->project_len = token->project.len;
        ngx_memcpy(grant->project, token->project.data, token->project.len);
    }

    /* for a log: one line, and quoted */

    grant->user_len = ngx_min(token->user.len, NGX_WAFCERT_USER_LEN);

    for (i = 0; i < grant->user_len; i++) {
        p = &token->user.data[i];
        grant->user[i] = (*p < 0x20 || *p == 0x7f || *p == '"') ? '?' : *p;
    }

    /* who may write by his role may read */

    grant->write = ngx_http_wafcert_iam_has_role(&wlcf->write_roles, token);

    grant->read = ngx_http_wafcert_iam_has_role(&wlcf->read_roles, token)
                  || (wlcf->write_roles.len && grant->write);
}


static ngx_uint_t
ngx_http_wafcert_iam_has_role(ngx_str_t *roles, wafcert_token_t *token)
{
    u_char     *p, *last;
    ngx_str_t   role;

    if (roles->len == 0) {
        return wafcert_json_token_role(token, NULL);
    }

    p = roles->data;
    last = p + roles->len;

    for (role.data = p; role.data < last; role.data = p + 1) {

        p = ngx_strlchr(role.data, last, ',');
        if (p == NULL) {
            p = last;
        }

        role.len = p - role.data;

        if (wafcert_json_token_role(token, &role)) {
            return 1;
        }
    }

    return 0;
}


/*
 * A location is not the one of the same name in another server, and what
 * roles may do is a part of what is kept of a token.  A server is told by its
 * place in a file, and by that file's last change: after the next one another
 * server may stand there.
 */

ngx_int_t
ngx_http_wafcert_iam_scope(ngx_conf_t *cf, ngx_http_wafcert_loc_conf_t *conf)
{
    u_char                       *p;
    size_t                        len;
    ngx_file_info_t              *file;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_wafcert_srv_conf_t  *wscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    wscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_wafcert_module);

    file = &wscf->file;

    len = ngx_strlen(cscf->file_name) + NGX_INT_T_LEN + 4 * NGX_INT64_LEN
          + conf->iam_uri.len + conf->read_roles.len + conf->write_roles.len
          + 9;

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    conf->iam_scope.data = p;

    p = ngx_sprintf(p, "%s%Z%ui%Z%uL%Z%O%Z%T%Z%l%Z%V%Z%V%Z%V%Z",
                    cscf->file_name, cscf->line,
                    (uint64_t) ngx_file_uniq(file), ngx_file_size(file),
                    file->st_ctim.tv_sec, file->st_ctim.tv_nsec,
                    &conf->iam_uri, &conf->read_roles, &conf->write_roles);

    conf->iam_scope.len = p - conf->iam_scope.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_wafcert_iam_init(ngx_conf_t *cf)
{
    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_wafcert_iam_body_filter;

    return NGX_OK;
}


/*
 * nginx's own buffer of a subrequest in memory is a location's to configure,
 * and an answer that it does not hold costs the client its connection.
 */

static ngx_int_t
ngx_http_wafcert_iam_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_wafcert_iam_t  *iam;

    if (r->post_subrequest == NULL
        || r->post_subrequest->handler != ngx_http_wafcert_iam_done)
    {
        return ngx_http_next_body_filter(r, in);
    }

    iam = r->post_subrequest->data;

    for ( /* void */ ; in; in = in->next) {

        if (ngx_buf_in_memory(in->buf)
            && r->headers_out.status == NGX_HTTP_OK && !iam->too_large
            && ngx_http_wafcert_iam_collect(r, iam, in->buf) != NGX_OK)
        {
            return NGX_ERROR;
        }

        in->buf->pos = in->buf->last;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_iam_collect(ngx_http_request_t *r,
    ngx_http_wafcert_iam_t *iam, ngx_buf_t *in)
{
    size_t      len, size;
    ngx_buf_t  *b, *old;

    old = iam->answer;
    len = old ? old->last - old->pos : 0;
    size = len + (in->last - in->pos);

    if (size > NGX_HTTP_WAFCERT_ANSWER_MAX) {
        iam->too_large = 1;
        return NGX_OK;
    }

    if (old == NULL || size > (size_t) (old->end - old->pos)) {

        b = ngx_create_temp_buf(r->pool, ngx_max(2 * size,
                                                 NGX_HTTP_WAFCERT_ANSWER_MIN));
        if (b == NULL) {
            return NGX_ERROR;
        }

        if (len) {
            b->last = ngx_cpymem(b->last, old->pos, len);
        }

        iam->answer = b;
    }

    b = iam->answer;
    b->last = ngx_cpymem(b->last, in->pos, in->last - in->pos);

    return NGX_OK;
}
