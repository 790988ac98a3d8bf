
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include <ngx_sha1.h>


/* more are counted, but not listed */
#define NGX_HTTP_WAFCERT_PLACES      1000
#define NGX_HTTP_WAFCERT_PLACE_SIZE  2560

/* that are sorted, or looked up, with something else in the same turn */
#define NGX_HTTP_WAFCERT_PLACES_STEP  200

/* what servers have of a name, looked up in a turn */
#define NGX_HTTP_WAFCERT_VIEWS       1000


struct ngx_http_wafcert_serves_s {
    ngx_wafcert_view_t       view;
    ngx_wafcert_name_t       name;
    int64_t                  now;
    ngx_wafcert_place_t     *places;        /* of "total", once there is room */
    ngx_uint_t               max;
    ngx_uint_t               total;
    ngx_uint_t               sent;
    ngx_buf_t               *b;
};


static ngx_int_t ngx_http_wafcert_serves_name(ngx_http_request_t *r,
    ngx_str_t *arg, ngx_wafcert_name_t *name);
static ngx_int_t ngx_http_wafcert_serves_step(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_serves_find(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_serves_order(ngx_http_request_t *r,
    ngx_http_wafcert_serves_t *serves);
static ngx_int_t ngx_http_wafcert_serves_items(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_name_warnings(ngx_http_request_t *r,
    wafcert_record_t *record);
static ngx_int_t ngx_http_wafcert_survey(ngx_http_request_t *r,
    ngx_wafcert_survey_t *survey);


/* in the order of ngx_wafcert_standing_e */

static const wafcert_standing_t  ngx_http_wafcert_standings[] = {

    { "served", "is sent to clients that ask for this host, and can use its"
      " type of key", 1 },

    { "older", "another certificate with this type of key has a later"
      " not_before", 1 },

    { "chain_incomplete", "another certificate has a complete chain", 1 },

    { "wildcard", "another certificate has the host's own name", 1 },

    { "leaf_key_usage", "TLS 1.2 cannot use it, for its extensions forbid"
      " signatures, and another certificate is good for that, too", 1 },

    { "expired", "has expired, and another certificate is valid", 1 },

    { "host_taken", "another project had a valid certificate for this host"
      " first", 1 },

    { "trying", "is passed over until a thread has tried to sign with its key",
      0 },

    { "not_yet_valid", "is not valid yet, and waits until it is", 0 },

    { "host_not_allowed", "no server sends this project's certificates for"
      " this host", 0 },

    { "weak_key", "OpenSSL's security level refuses its key, or a signature"
      " in its chain", 0 },

    { "unusable", "OpenSSL failed to load it, or to sign with its key", 0 }
};


/* and what is served for want of a better one */

static const wafcert_standing_t  ngx_http_wafcert_handicapped = {
    "served", "is sent to clients that ask for this host in TLS 1.3; TLS 1.2"
    " cannot use it, for its extensions forbid signatures", 1
};


ngx_int_t
ngx_http_wafcert_serves(ngx_http_request_t *r, ngx_str_t *arg)
{
    ngx_int_t                   rc;
    ngx_http_wafcert_ctx_t     *ctx;
    ngx_http_wafcert_view_t    *served;
    ngx_http_wafcert_serves_t  *serves;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    serves = ngx_pcalloc(r->pool, sizeof(ngx_http_wafcert_serves_t));
    if (serves == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_wafcert_serves_name(r, arg, &serves->name);

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

    served = ngx_http_wafcert_project_view(r, &ctx->project,
                                           &serves->name.host);

    if (served) {
        serves->view = served->view;

    } else {
        serves->view.level = WAFCERT_LEVEL_DEFAULT;
    }

    serves->now = ngx_http_wafcert_now();
    serves->max = 16;
    ctx->serves = serves;

    return ngx_http_wafcert_in_turns(r, ctx, ngx_http_wafcert_serves_step);
}


/* NGX_AGAIN: there are many, and others have their turn first */

static ngx_int_t
ngx_http_wafcert_serves_step(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_http_wafcert_serves_t  *serves;

    serves = ctx->serves;

    do {
        if (serves->places == NULL) {
            rc = ngx_http_wafcert_serves_find(r, ctx);

        } else if (serves->b == NULL) {
            rc = ngx_http_wafcert_serves_order(r, serves);

        } else {
            rc = ngx_http_wafcert_serves_items(r, ctx);
        }

    } while (rc == NGX_OK && serves->total <= NGX_HTTP_WAFCERT_PLACES_STEP);

    switch (rc) {

    case NGX_OK:
        return NGX_AGAIN;

    case NGX_DONE:
        return ngx_http_wafcert_answer(r, serves->b, 0);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* all of them; there may be more when they are asked for */

static ngx_int_t
ngx_http_wafcert_serves_find(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_wafcert_place_t          *places;
    ngx_http_wafcert_serves_t    *serves;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    serves = ctx->serves;
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    places = ngx_palloc(r->pool, serves->max * sizeof(ngx_wafcert_place_t));
    if (places == NULL) {
        return NGX_ERROR;
    }

    serves->total = ngx_wafcert_places(wlcf->shm_zone->data, &serves->view,
                                       &ctx->project, &serves->name,
                                       serves->now, places, serves->max);

    if (serves->total > serves->max) {
        ngx_pfree(r->pool, places);
        serves->max = serves->total + NGX_HTTP_WAFCERT_PLACES_STEP;

    } else {
        serves->places = places;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_serves_order(ngx_http_request_t *r,
    ngx_http_wafcert_serves_t *serves)
{
    ngx_buf_t   *b;
    ngx_uint_t   n;

    ngx_wafcert_places_sort(serves->places, serves->total);

    n = ngx_min(serves->total, NGX_HTTP_WAFCERT_PLACES);

    b = ngx_http_wafcert_buf(r->pool, (n + 1) * NGX_HTTP_WAFCERT_PLACE_SIZE, 0);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_sprintf(b->last, "{\"total\":%ui,\"items\":[",
                          serves->total);
    serves->b = b;

    return NGX_OK;
}


/* What is deleted meanwhile is left out.  NGX_DONE: that was the last one. */

static ngx_int_t
ngx_http_wafcert_serves_items(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_buf_t                    *b;
    ngx_uint_t                    n, last;
    ngx_wafcert_copy_t            copy;
    ngx_wafcert_place_t          *place;
    ngx_http_wafcert_serves_t    *serves;
    ngx_http_wafcert_loc_conf_t  *wlcf;
    u_char                        item[NGX_WAFCERT_ITEM_MAX];

    serves = ctx->serves;
    b = serves->b;
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    n = ngx_min(serves->total, NGX_HTTP_WAFCERT_PLACES);
    last = ngx_min(n, serves->sent + NGX_HTTP_WAFCERT_PLACES_STEP);

    for ( /* void */ ; serves->sent < last; serves->sent++) {
        place = &serves->places[serves->sent];

        if (ngx_wafcert_place_item(wlcf->shm_zone->data, &ctx->project, place,
                                   &copy, item)
            != NGX_OK)
        {
            continue;
        }

        if (b->last[-1] != '[') {
            *b->last++ = ',';
        }

        copy.record.standing = &ngx_http_wafcert_standings[place->standing];

        if (place->standing == NGX_WAFCERT_SERVED && copy.facts.handicap) {
            copy.record.standing = &ngx_http_wafcert_handicapped;
        }

        b->last += wafcert_json_item(b->last, &copy.record, 0, serves->now);
    }

    if (serves->sent < n) {
        return NGX_OK;
    }

    b->last = ngx_cpymem(b->last, "]}\n", 3);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_wafcert_serves_name(ngx_http_request_t *r, ngx_str_t *arg,
    ngx_wafcert_name_t *name)
{
    u_char                       *dst, *src, *host;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (arg == NULL) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_SERVES_ILLEGAL,
                              "the parameter serves is there twice");
    }

    host = ngx_pnalloc(r->pool, arg->len + 1);
    if (host == NULL) {
        return NGX_ERROR;
    }

    dst = host;
    src = arg->data;
    ngx_unescape_uri(&dst, &src, arg->len, 0);

    if (ngx_wafcert_name_init(wlcf->shm_zone->data, name, host, dst - host)
        != NGX_OK)
    {
        (void) wafcert_refuse(&ctx->verdict, WAFCERT_SERVES_ILLEGAL,
                              "the parameter serves is not the name or "
                              "address of a host alone");

        for (src = host; src < dst; src++) {
            if (*src >= 0x80) {
                wafcert_hint(&ctx->verdict, "write a name that is not ASCII "
                             "as certificates have it, with \"xn--\"");
                break;
            }
        }

        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_wafcert_bind_hosts(ngx_http_request_t *r,
    ngx_wafcert_survey_t *survey, u_char *id, wafcert_record_t *record,
    ngx_pool_t *pool)
{
    u_char                       *p, *last, digest[20];
    ngx_int_t                     rc;
    ngx_str_t                     won, host;
    ngx_uint_t                    n;
    ngx_sha1_t                    sha1;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    ngx_str_null(&record->bind_hosts);

    if (ngx_http_wafcert_survey(r, survey) != NGX_OK) {
        return NGX_OK;
    }

    rc = ngx_wafcert_won(wlcf->shm_zone->data, survey, id, pool);

    won = survey->hosts;

    if (rc != NGX_OK || won.len == 0) {
        return rc;
    }

    n = 0;
    last = won.data + won.len;

    for (p = won.data; p < last; p++) {
        n += (*p == '\0');
    }

    record->bind_hosts.len = won.len + n * WAFCERT_HOST_ID_LEN;

    p = ngx_pnalloc(pool, record->bind_hosts.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    record->bind_hosts.data = p;

    for (host.data = won.data; host.data < last; host.data += host.len) {

        host.len = ngx_strlen(host.data) + 1;

        ngx_sha1_init(&sha1);
        ngx_sha1_update(&sha1, host.data, host.len - 1);
        ngx_sha1_final(digest, &sha1);

        p = ngx_hex_dump(p, digest, WAFCERT_HOST_ID_LEN / 2);
        p = ngx_cpymem(p, host.data, host.len);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_wafcert_serve_warnings(ngx_http_request_t *r,
    wafcert_record_t *record)
{
    ngx_int_t                     rc;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (ngx_http_wafcert_survey(r, &ctx->taken) != NGX_OK) {
        return NGX_OK;
    }

    record->level = ctx->taken.view->level;

    if (ctx->alone) {
        return NGX_OK;
    }

    ctx->taken.seen = 0;

    rc = ngx_wafcert_taken(wlcf->shm_zone->data, &ctx->taken,
                           &record->facts->hosts, &record->taken);

    return (rc == NGX_AGAIN) ? NGX_AGAIN
                             : ngx_http_wafcert_name_warnings(r, record);
}


/* the first host of each kind; some in a turn, as above */

static ngx_int_t
ngx_http_wafcert_name_warnings(ngx_http_request_t *r,
    wafcert_record_t *record)
{
    ngx_str_t                      host;
    ngx_uint_t                     seen;
    ngx_wafcert_name_t             name;
    const ngx_str_t               *hosts;
    ngx_http_wafcert_ctx_t        *ctx;
    ngx_http_wafcert_view_t       *view;
    ngx_http_wafcert_loc_conf_t   *wlcf;
    ngx_http_wafcert_main_conf_t  *wmcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);
    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);

    seen = 0;
    hosts = &record->facts->hosts;

    for ( /* void */ ; ctx->warned < hosts->len; ctx->warned += host.len + 1) {

        if (seen > NGX_HTTP_WAFCERT_VIEWS) {
            return NGX_AGAIN;
        }

        seen += wmcf->views.nelts;

        host.data = hosts->data + ctx->warned;
        host.len = ngx_strlen(host.data);

        if (ngx_wafcert_name_init(wlcf->shm_zone->data, &name, host.data,
                                  host.len)
            != NGX_OK)
        {
            continue;
        }

        view = ngx_http_wafcert_project_view(r, &ctx->project, &name.host);

        if (!ngx_wafcert_view_allows(&view->view, &ctx->project, &name.host)) {

            if (record->not_allowed.len == 0) {
                record->not_allowed = host;
            }

        } else if (record->displaced.len == 0
                   && ngx_http_wafcert_displaces(r, &ctx->project, &name))
        {
            record->displaced = host;
        }
    }

    return NGX_OK;
}


/* NGX_DECLINED: no server serves the project's certificates */

static ngx_int_t
ngx_http_wafcert_survey(ngx_http_request_t *r, ngx_wafcert_survey_t *survey)
{
    ngx_http_wafcert_ctx_t   *ctx;
    ngx_http_wafcert_view_t  *view;

    if (survey->view) {
        return NGX_OK;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    view = ngx_http_wafcert_project_view(r, &ctx->project, NULL);

    if (view == NULL) {
        return NGX_DECLINED;
    }

    survey->view = &view->view;
    survey->project = ctx->project;
    survey->now = ngx_http_wafcert_now();

    return NGX_OK;
}
