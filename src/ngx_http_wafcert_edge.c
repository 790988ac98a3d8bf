
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include "ngx_wafcert_sync.h"
#include "wafcert_path.h"


/*
 * In front of the WAF: an upload is read and judged before proxy_pass sees
 * the request, which then finds its body as if nginx had read it.
 */


static ngx_int_t ngx_http_wafcert_edge_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_edge_named(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf);
static ngx_int_t ngx_http_wafcert_edge_unjudged(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_uint_t token);
static ngx_int_t ngx_http_wafcert_edge_begin(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_wafcert_ctx_t **ctx);
static ngx_int_t ngx_http_wafcert_edge_ours(ngx_http_request_t *r,
    ngx_str_t *sent);
static ngx_int_t ngx_http_wafcert_edge_might_be_ours(ngx_http_request_t *r,
    ngx_str_t *sent);
static ngx_int_t ngx_http_wafcert_edge_names(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_int_t ngx_http_wafcert_edge_forget(ngx_http_request_t *r);
static ngx_str_t ngx_http_wafcert_edge_path(ngx_str_t *uri);
static ngx_uint_t ngx_http_wafcert_edge_is_judged(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_str_t *sent);
static ngx_http_wafcert_ctx_t *ngx_http_wafcert_edge_admit(
    ngx_http_request_t *r, ngx_http_wafcert_ctx_t *kept);
static void ngx_http_wafcert_edge_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_edge_call(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_edge_pass(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_edge_body(ngx_http_request_t *r);
static void ngx_http_wafcert_edge_proceed(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_edge_judge(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_edge_member(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_edge_dry_run(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_edge_normalize(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_edge_restore(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);


static ngx_int_t
ngx_http_wafcert_edge_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (r != r->main) {
        return NGX_DECLINED;
    }

    if (!wlcf->edge) {
        return r->internal ? ngx_http_wafcert_edge_named(r, wlcf)
                           : NGX_DECLINED;
    }

    ctx = ngx_http_wafcert_find_ctx(r);

    rc = NGX_OK;

    if (ctx == NULL) {
        rc = ngx_http_wafcert_edge_begin(r, wlcf, &ctx);

    } else if (ctx->passed) {

        if (ctx->conf == wlcf || ctx->admitted == wlcf) {
            return NGX_DECLINED;
        }

        ctx = ngx_http_wafcert_edge_admit(r, ctx);
        rc = (ctx == NULL) ? NGX_HTTP_INTERNAL_SERVER_ERROR : NGX_OK;
    }

    if (ctx == NULL) {
        return rc;
    }

    /*
     * nginx goes on with the phases whenever the client can be written to,
     * which is none of what is waited for from here on
     */

    r->write_event_handler = ngx_http_request_empty_handler;

    if (rc == NGX_OK) {
        rc = ngx_http_wafcert_judge_caller(r, ctx,
                                           ngx_http_wafcert_edge_resume);
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    rc = (rc == NGX_OK) ? ngx_http_wafcert_edge_call(r, ctx)
                        : ngx_http_wafcert_refuse(r);

    if (rc == NGX_DECLINED) {
        r->write_event_handler = ngx_http_core_run_phases;
        return NGX_DECLINED;
    }

    /* as a content handler's, for this phase would take NGX_OK for a go */

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


/*
 * A named location that judges nothing itself sends what was judged, by
 * whichever module's content handler.
 */

static ngx_int_t
ngx_http_wafcert_edge_named(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf)
{
    ngx_int_t                  rc;
    ngx_str_t                  sent, path;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_wafcert_ctx_t    *ctx, *kept;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->name.len == 0 || clcf->name.data[0] != '@') {
        return NGX_DECLINED;
    }

    /* without one it sends nothing but files of its own */

    if (r->content_handler == NULL
        || r->content_handler == ngx_http_wafcert_api_handler)
    {
        return NGX_DECLINED;
    }

    kept = ngx_http_wafcert_kept_ctx(r);
    if (kept == NULL || kept->call == NGX_HTTP_WAFCERT_OTHER) {
        return ngx_http_wafcert_edge_unjudged(r, wlcf, kept != NULL);
    }

    ctx = NULL;

    if (ngx_http_wafcert_beside_sends(r, wlcf, &sent) == NGX_OK) {

        path = ngx_http_wafcert_edge_path(&sent);

        if (ngx_http_wafcert_same_path(kept->conf, &kept->uri, &path)) {
            return NGX_DECLINED;
        }

        ctx = ngx_http_wafcert_create_ctx(r);
    }

    if (ctx == NULL) {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    } else {
        (void) wafcert_refuse(&ctx->verdict, WAFCERT_PATH_ENCODED,
                              "the path that would go to the WAF is not the "
                              "one that was judged");
        rc = ngx_http_wafcert_refuse(r);
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


/*
 * What another module has refused before it was judged, as limit_req does, is
 * not to come to the WAF by "error_page" either; nor without a token whatever
 * a location of the server may have wanted one for.
 */

static ngx_int_t
ngx_http_wafcert_edge_unjudged(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_uint_t token)
{
    ngx_int_t                     rc;
    ngx_str_t                     sent;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_wafcert_loc_conf_t  *server;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    server = cscf->ctx->loc_conf[ngx_http_wafcert_module.ctx_index];

    if (!server->edges) {
        return NGX_DECLINED;
    }

    rc = NGX_ERROR;

    if (ngx_http_wafcert_beside_sends(r, wlcf, &sent) == NGX_OK) {

        rc = ngx_http_wafcert_edge_might_be_ours(r, &sent);

        if (rc == NGX_DECLINED) {

            if (token || !server->locks
                || wlcf->auth == NGX_HTTP_WAFCERT_AUTH_OFF)
            {
                return NGX_DECLINED;
            }

            rc = NGX_OK;
        }
    }

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "a named location would send what \"wafcert_validate\" "
                      "has not judged");
    }

    ngx_http_finalize_request(r, rc == NGX_OK
                                 ? NGX_HTTP_SERVICE_UNAVAILABLE
                                 : NGX_HTTP_INTERNAL_SERVER_ERROR);

    return NGX_DONE;
}


/*
 * Makes a context of what is judged here.  What no server could take for a
 * certificate's is not even refused: whatever else the location proxies is the
 * WAF's business.
 */

static ngx_int_t
ngx_http_wafcert_edge_begin(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_wafcert_ctx_t **ctx)
{
    ngx_int_t  rc, ours;
    ngx_str_t  sent;

    if (ngx_http_wafcert_beside_sends(r, wlcf, &sent) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ours = ngx_http_wafcert_edge_ours(r, &sent);

    if (ours == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ours == NGX_DECLINED && !wlcf->auth_all) {
        return NGX_DECLINED;
    }

    *ctx = ngx_http_wafcert_create_ctx(r);
    if (*ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ours == NGX_DECLINED) {
        (*ctx)->call = NGX_HTTP_WAFCERT_OTHER;
        return NGX_OK;
    }

    rc = ngx_http_wafcert_judge_route(r, *ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!ngx_http_wafcert_edge_is_judged(r, wlcf, &sent)) {
        return wafcert_refuse(&(*ctx)->verdict, WAFCERT_PATH_ENCODED,
                              "the path that would go to the WAF is not the "
                              "one that was judged");
    }

    /* what is not sent here is not to be sent by a named location either */

    return (sent.data == r->unparsed_uri.data)
           ? NGX_OK : ngx_http_wafcert_edge_forget(r);
}


/* The path of the request line, which was not judged: for $request_uri, too. */

static ngx_int_t
ngx_http_wafcert_edge_forget(ngx_http_request_t *r)
{
    size_t                         len;
    u_char                        *p;
    ngx_uint_t                     escape;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);

    escape = ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
    len = r->uri.len + 2 * escape + (r->args.len ? 1 + r->args.len : 0);

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->unparsed_uri.data = p;
    r->unparsed_uri.len = len;
    r->valid_unparsed_uri = 0;

    if (escape) {
        p = (u_char *) ngx_escape_uri(p, r->uri.data, r->uri.len,
                                      NGX_ESCAPE_URI);
    } else {
        p = ngx_cpymem(p, r->uri.data, r->uri.len);
    }

    if (r->args.len) {
        *p++ = '?';
        ngx_memcpy(p, r->args.data, r->args.len);
    }

    /* it may have been asked for before */

    r->variables[wmcf->request_uri].valid = 0;
    r->variables[wmcf->request_uri].not_found = 0;

    return NGX_OK;
}


/* NGX_OK, or NGX_DECLINED: somebody else's, in whichever way it is sent */

static ngx_int_t
ngx_http_wafcert_edge_ours(ngx_http_request_t *r, ngx_str_t *sent)
{
    ngx_http_wafcert_route_t  route;

    if (ngx_http_wafcert_find_route(r, &route) != WAFCERT_API_NOT_FOUND) {
        return NGX_OK;
    }

    return ngx_http_wafcert_edge_might_be_ours(r, sent);
}


static ngx_int_t
ngx_http_wafcert_edge_might_be_ours(ngx_http_request_t *r, ngx_str_t *sent)
{
    ngx_int_t         rc;
    ngx_str_t         paths[3];
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    paths[0] = r->uri;
    paths[1] = ngx_http_wafcert_edge_path(sent);
    paths[2] = ngx_http_wafcert_edge_path(&r->unparsed_uri);

    for (i = 0; i < 3; i++) {

        if (i && paths[i].data == paths[i - 1].data) {
            continue;
        }

        rc = ngx_http_wafcert_edge_names(r, &paths[i]);
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_wafcert_path_header(&h[i]) == NULL) {
                continue;
            }

            rc = ngx_http_wafcert_edge_names(r, &h[i].value);
            if (rc != NGX_DECLINED) {
                return rc;
            }
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_wafcert_edge_names(ngx_http_request_t *r, ngx_str_t *path)
{
    u_char  *buf;

    buf = ngx_pnalloc(r->pool, path->len);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    return wafcert_path_names_certificate(buf, path) ? NGX_OK : NGX_DECLINED;
}


static ngx_str_t
ngx_http_wafcert_edge_path(ngx_str_t *uri)
{
    u_char     *p;
    ngx_str_t   path;

    path = *uri;

    p = ngx_strlchr(path.data, path.data + path.len, '?');

    if (p) {
        path.len = p - path.data;
    }

    return path;
}


/*
 * A route has nothing in it that nginx escapes, so what is sent for it can be
 * compared.  The prefix before "/v1/" may have been cut off; and what nginx
 * takes for a fragment would be a part of the query to others.
 */

static ngx_uint_t
ngx_http_wafcert_edge_is_judged(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_str_t *sent)
{
    ngx_str_t  path;

    if (sent->data == r->uri.data) {
        return 1;
    }

    if (ngx_strlchr(sent->data, sent->data + sent->len, '#')) {
        return 0;
    }

    path = ngx_http_wafcert_edge_path(sent);

    return ngx_http_wafcert_same_path(wlcf, &r->uri, &path);
}


/*
 * What has come to a named location was judged before, but that may want
 * another token.
 */

static ngx_http_wafcert_ctx_t *
ngx_http_wafcert_edge_admit(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *kept)
{
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_wafcert_create_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    ctx->call = kept->call;
    ctx->project = kept->project;
    ctx->kept = kept;

    return ctx;
}


static void
ngx_http_wafcert_edge_resume(ngx_http_request_t *r)
{
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


static ngx_int_t
ngx_http_wafcert_edge_call(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (ctx->kept) {
        ctx->kept->admitted = wlcf;
        ngx_http_set_ctx(r, ctx->kept, ngx_http_wafcert_module);
        return NGX_DECLINED;
    }

    /* its answer is nobody's business either */

    if (ctx->call == NGX_HTTP_WAFCERT_OTHER) {
        ctx->admitted = wlcf;
        ngx_http_set_ctx(r, NULL, ngx_http_wafcert_module);
        return NGX_DECLINED;
    }

    ngx_wafcert_sync(wlcf->shm_zone->data, r->connection->log);

    if (ctx->call >= NGX_HTTP_WAFCERT_CREATE
        && ngx_http_wafcert_dry_run(r, ctx) != NGX_OK)
    {
        return ngx_http_wafcert_refuse(r);
    }

    if (ctx->call != NGX_HTTP_WAFCERT_CREATE
        && ctx->call != NGX_HTTP_WAFCERT_MODIFY)
    {
        return ngx_http_wafcert_edge_pass(r, ctx);
    }

    /*
     * Whose token nobody has judged yet is told nothing of what is recorded;
     * "off" tells that the network has judged the client.
     */

    ctx->alone = (!wlcf->record
                  || wlcf->auth == NGX_HTTP_WAFCERT_AUTH_UNSET);

    if (ctx->dry_run && !ctx->alone) {
        return ngx_http_wafcert_write(r);
    }

    return ngx_http_wafcert_read_body(r, ngx_http_wafcert_edge_body);
}


static ngx_int_t
ngx_http_wafcert_edge_pass(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (wlcf->record && ctx->call != NGX_HTTP_WAFCERT_APPLY
        && ngx_http_wafcert_record_prepare(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->passed = 1;

    return NGX_DECLINED;
}


static void
ngx_http_wafcert_edge_body(ngx_http_request_t *r)
{
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    if (ngx_http_wafcert_upload(ctx) != NGX_OK) {
        ngx_http_finalize_request(r, ngx_http_wafcert_refuse(r));
        return;
    }

    ngx_http_wafcert_set_event(r, ctx, ngx_http_wafcert_edge_proceed);
    ngx_http_wafcert_edge_proceed(r, ctx);
}


static void
ngx_http_wafcert_edge_proceed(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    rc = ngx_http_wafcert_edge_judge(r, ctx);

    if (rc == NGX_AGAIN) {
        ngx_http_wafcert_next_turn(ctx);
        return;
    }

    if (rc == NGX_ERROR) {
        rc = ngx_http_wafcert_no_memory(ctx);
    }

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, ngx_http_wafcert_refuse(r));
        return;
    }

    /* the WAF has no such parameter, and would make the change */

    if (ctx->dry_run) {
        ngx_http_finalize_request(r, ngx_http_wafcert_edge_dry_run(r, ctx));
        return;
    }

    if ((wlcf->normalize && ngx_http_wafcert_edge_normalize(r, ctx) != NGX_OK)
        || ngx_http_wafcert_edge_restore(r, ctx) != NGX_OK
        || ngx_http_wafcert_edge_pass(r, ctx) != NGX_DECLINED)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_wafcert_edge_resume(r);
}


static ngx_int_t
ngx_http_wafcert_edge_judge(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t          rc;
    wafcert_upload_t  *upload;

    upload = &ctx->upload;
    ctx->name = upload->name;

    if (upload->content.data == NULL && upload->key.data == NULL) {
        return NGX_OK;
    }

    if (upload->content.data && upload->key.data) {
        rc = ngx_http_wafcert_judge_upload(r, ctx, &upload->content,
                                           &upload->key, 1);
    } else {
        rc = ngx_http_wafcert_edge_member(r, ctx);
    }

    if (rc == NGX_OK && ctx->bundle.facts.nchain) {
        ngx_hex_dump(ctx->fingerprint, ctx->bundle.facts.chain[0].sha256,
                     WAFCERT_SHA256_LEN);
        ctx->has_fingerprint = 1;
    }

    return rc;
}


/* one half of a pair: the other one may be known here, or else to the WAF */

static ngx_int_t
ngx_http_wafcert_edge_member(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_str_t                     content, key;
    wafcert_upload_t             *upload;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    upload = &ctx->upload;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (!ctx->alone) {
        rc = ngx_wafcert_store_get(wlcf->shm_zone->data, &ctx->project,
                                   ctx->change.id, 1, r->pool, &ctx->current);

        if (rc == NGX_OK) {
            rc = ngx_http_wafcert_current_pem(r, ctx, &content, &key);

            return rc == NGX_OK
                   ? ngx_http_wafcert_judge_upload(r, ctx, &content, &key, 1)
                   : rc;
        }

        if (rc == NGX_ERROR) {
            return rc;
        }
    }

    return ngx_http_wafcert_judge_upload(r, ctx,
                            upload->content.data ? &upload->content : NULL,
                            upload->key.data ? &upload->key : NULL, 1);
}


/* of an upload alone: without a certificate there is but a name to tell */

static ngx_int_t
ngx_http_wafcert_edge_dry_run(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    size_t             size;
    ngx_buf_t         *b;
    wafcert_record_t  *record;

    record = &ctx->current.record;
    record->name = ctx->upload.name;

    if (ctx->upload.content.data) {
        record->facts = &ctx->bundle.facts;
        record->blocks = ctx->bundle.blocks;
        record->words = ctx->bundle.words;

        return ngx_http_wafcert_done(r, ctx, record,
                                     ctx->upload.key.data ? &ctx->bundle.key
                                                          : NULL);
    }

    size = wafcert_json_normalized(NULL, &record->name, NULL, NULL);

    b = ngx_http_wafcert_buf(r->pool, size, 0);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last += wafcert_json_normalized(b->last, &record->name, NULL, NULL);

    return ngx_http_wafcert_answer(r, b, 0);
}


/* what was not sent is not added */

static ngx_int_t
ngx_http_wafcert_edge_normalize(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    size_t                  size;
    ngx_buf_t              *b;
    wafcert_upload_t       *upload;
    const wafcert_key_t    *key;
    const wafcert_facts_t  *facts;

    upload = &ctx->upload;

    facts = upload->content.data ? &ctx->bundle.facts : NULL;
    key = upload->key.data ? &ctx->bundle.key : NULL;

    size = wafcert_json_normalized(NULL, &upload->name, facts, key);

    b = ngx_http_wafcert_buf(r->pool, size, 1);
    if (b == NULL) {
        return NGX_ERROR;
    }

    ctx->body.len = wafcert_json_normalized(b->start, &upload->name, facts,
                                            key);
    ctx->body.data = b->start;

    return NGX_OK;
}


/* leaves the body as nginx leaves one that it has read into memory */

static ngx_int_t
ngx_http_wafcert_edge_restore(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    u_char           *p;
    ngx_buf_t        *b;
    ngx_chain_t      *cl;
    ngx_table_elt_t  *length;

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->start = ctx->body.data;
    b->pos = b->start;
    b->last = b->start + ctx->body.len;
    b->end = b->last;
    b->temporary = 1;
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    r->request_body->bufs = cl;
    r->request_body_no_buffering = 0;

    length = r->headers_in.content_length;

    if (length && r->headers_in.content_length_n != (off_t) ctx->body.len) {

        p = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        length->value.data = p;
        length->value.len = ngx_sprintf(p, "%uz", ctx->body.len) - p;
    }

    r->headers_in.content_length_n = ctx->body.len;

    return NGX_OK;
}


ngx_int_t
ngx_http_wafcert_edge_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt           *h;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_wafcert_main_conf_t  *wmcf;

    static ngx_str_t  request_uri = ngx_string("request_uri");

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wafcert_module);

    if (!wmcf->edge) {
        return NGX_OK;
    }

    wmcf->request_uri = ngx_http_get_variable_index(cf, &request_uri);
    if (wmcf->request_uri == NGX_ERROR) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_wafcert_edge_handler;

    ngx_http_wafcert_capture_init();

    return NGX_OK;
}
