
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include "ngx_wafcert_sync.h"


#define NGX_HTTP_WAFCERT_PROJECT_MAX  64


static void ngx_http_wafcert_cleanup(void *data);
static void ngx_http_wafcert_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_call(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_int_t rc);
static ngx_uint_t ngx_http_wafcert_stands(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_str_t *path);
static ngx_str_t ngx_http_wafcert_last_segment(ngx_str_t *path);
static ngx_uint_t ngx_http_wafcert_is(ngx_str_t *s, const char *word);
static ngx_uint_t ngx_http_wafcert_is_id(ngx_str_t *id);
static ngx_int_t ngx_http_wafcert_method(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_route_t *route);
static ngx_int_t ngx_http_wafcert_no_override(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_uint_t ngx_http_wafcert_asks_method(ngx_str_t *args);
static ngx_uint_t ngx_http_wafcert_is_method(u_char *p, u_char *last);
static const char *ngx_http_wafcert_header_in(ngx_table_elt_t *h,
    const char **names);
static ngx_uint_t ngx_http_wafcert_is_header(ngx_table_elt_t *h,
    const char *name);
static ngx_int_t ngx_http_wafcert_content_type(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_content_encoding(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static ngx_int_t ngx_http_wafcert_show(ngx_http_request_t *r);
static ngx_int_t ngx_http_wafcert_show_current(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
static void ngx_http_wafcert_reviewed(ngx_http_wafcert_ctx_t *ctx,
    ngx_uint_t trust);
static ngx_int_t ngx_http_wafcert_review(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);


/* headers that ask for another method, and for another path */

static const char  *ngx_http_wafcert_methods[] = {
    "x-http-method-override", "x-http-method", "x-method-override", NULL
};

static const char  *ngx_http_wafcert_paths[] = {
    "x-original-url", "x-rewrite-url", NULL
};


ngx_int_t
ngx_http_wafcert_api_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_wafcert_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_wafcert_judge_route(r, ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_wafcert_judge_caller(r, ctx, ngx_http_wafcert_resume);
    }

    if (rc == NGX_AGAIN) {
        r->main->count++;
        return NGX_DONE;
    }

    return ngx_http_wafcert_call(r, ctx, rc);
}


static void
ngx_http_wafcert_resume(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    rc = ngx_http_wafcert_judge_caller(r, ctx, ngx_http_wafcert_resume);

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, ngx_http_wafcert_call(r, ctx, rc));
    }
}


static ngx_int_t
ngx_http_wafcert_call(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    ngx_int_t rc)
{
    ngx_http_wafcert_loc_conf_t  *wlcf;

    if (rc != NGX_OK) {
        return ngx_http_wafcert_refuse(r);
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    ngx_wafcert_sync(wlcf->shm_zone->data, r->connection->log);

    switch (ctx->call) {

    case NGX_HTTP_WAFCERT_LIST:
        return ngx_http_wafcert_list(r);

    case NGX_HTTP_WAFCERT_SHOW:
        return ngx_http_wafcert_show(r);

    default:
        return ngx_http_wafcert_write(r);
    }
}


ngx_http_wafcert_ctx_t *
ngx_http_wafcert_create_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_wafcert_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_wafcert_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_wafcert_ctx_t));

    cln->handler = ngx_http_wafcert_cleanup;

    ctx->request = r;
    ctx->uri = r->uri;
    ctx->conf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    ngx_http_set_ctx(r, ctx, ngx_http_wafcert_module);

    return ctx;
}


ngx_http_wafcert_ctx_t *
ngx_http_wafcert_find_ctx(ngx_http_request_t *r)
{
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    if (!r->internal || r != r->main || (ctx && !ctx->passed)) {
        return ctx;
    }

    /* a rewrite may have come after it was found */

    if (ctx == NULL) {
        ctx = ngx_http_wafcert_kept_ctx(r);
    }

    if (ctx == NULL || !ctx->passed
        || !ngx_http_wafcert_same_path(ctx->conf, &ctx->uri, &r->uri))
    {
        return NULL;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_wafcert_module);

    return ctx;
}


ngx_http_wafcert_ctx_t *
ngx_http_wafcert_kept_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_wafcert_ctx_t  *ctx;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != ngx_http_wafcert_cleanup) {
            continue;
        }

        ctx = cln->data;

        if (ctx->passed || ctx->admitted) {
            return ctx;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_wafcert_same_path(ngx_http_wafcert_loc_conf_t *wlcf,
    const ngx_str_t *judged, const ngx_str_t *path)
{
    size_t  prefix;

    prefix = judged->len - path->len;

    return (prefix == 0 || prefix == wlcf->base.len - (sizeof("/v1/") - 1))
           && ngx_memcmp(path->data, judged->data + prefix, path->len) == 0;
}


static void
ngx_http_wafcert_cleanup(void *data)
{
    ngx_http_wafcert_ctx_t  *ctx = data;

    if (ctx->iam) {
        ngx_http_wafcert_iam_leave(ctx->iam);
    }

    ngx_wafcert_wait_leave(&ctx->wait);
    ngx_http_wafcert_line_leave(&ctx->line);
    wafcert_json_upload_free(&ctx->upload);

    if (ctx->validated) {
        wafcert_bundle_free(&ctx->bundle);
    }

    if (ctx->pool) {
        ngx_destroy_pool(ctx->pool);
    }

    if (ctx->discarded) {
        ngx_http_wafcert_body_gone();
    }

    ngx_http_wafcert_no_turn(ctx);
}


/* all that is judged before the body is read, in the documented order */

ngx_int_t
ngx_http_wafcert_judge_route(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_uint_t                i;
    wafcert_reason_e          reason;
    ngx_http_wafcert_route_t  route;

    reason = ngx_http_wafcert_find_route(r, &route);

    ctx->project = route.project;

    switch (reason) {

    case WAFCERT_OK:
        break;

    case WAFCERT_PROJECT_ILLEGAL:
        return wafcert_refuse(&ctx->verdict, reason,
                              "a project id has 1 to %d letters, digits, "
                              "\"_\" and \"-\"", NGX_HTTP_WAFCERT_PROJECT_MAX);

    case WAFCERT_ID_ILLEGAL:
        return wafcert_refuse(&ctx->verdict, reason,
                              "a certificate id has %d hex digits in lower "
                              "case", 2 * NGX_WAFCERT_ID_LEN);

    default:
        return wafcert_refuse(&ctx->verdict, reason,
                              "the path is not that of a certificate call"
                              "%s%.*s", ctx->conf->edge ? ", all of which "
                              "begin here with " : "",
                              (int) ctx->conf->base.len, ctx->conf->base.data);
    }

    if (route.id.len) {

        for (i = 0; i < NGX_WAFCERT_ID_LEN; i++) {
            ctx->change.id[i] = (u_char) ngx_hextoi(&route.id.data[2 * i], 2);
        }

        ngx_memcpy(ctx->id, route.id.data, route.id.len);
        ctx->has_id = 1;
    }

    return ngx_http_wafcert_method(r, ctx, &route);
}


ngx_int_t
ngx_http_wafcert_judge_caller(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_handler_pt handler)
{
    ngx_int_t   rc;
    ngx_uint_t  write;

    write = (ctx->call >= NGX_HTTP_WAFCERT_CREATE
             && ctx->call != NGX_HTTP_WAFCERT_OTHER);

    rc = ngx_http_wafcert_authorize(r, write, handler);

    if (rc != NGX_OK || ctx->call == NGX_HTTP_WAFCERT_OTHER) {
        return rc;
    }

    rc = ngx_http_wafcert_no_override(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->call == NGX_HTTP_WAFCERT_CREATE
        || ctx->call == NGX_HTTP_WAFCERT_MODIFY)
    {
        rc = ngx_http_wafcert_content_type(r, ctx);

        if (rc == NGX_OK) {
            rc = ngx_http_wafcert_content_encoding(r, ctx);
        }
    }

    return rc;
}


/*
 * ".../v1/{project_id}/waf/certificate[/{certificate_id}][/]", read from its
 * end.  What precedes it is a gateway's location's business; an edge believes
 * the answers, and so knows where the API is.
 */

wafcert_reason_e
ngx_http_wafcert_find_route(ngx_http_request_t *r,
    ngx_http_wafcert_route_t *route)
{
    ngx_str_t                     path, segment, waf;
    ngx_uint_t                    item;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    ngx_memzero(route, sizeof(ngx_http_wafcert_route_t));

    path = r->uri;

    if (path.len > 1 && path.data[path.len - 1] == '/') {
        path.len--;
    }

    item = 0;

    segment = ngx_http_wafcert_last_segment(&path);

    if (wlcf->edge && ngx_http_wafcert_is(&segment, "apply-to-hosts")) {
        route->apply = 1;
        segment = ngx_http_wafcert_last_segment(&path);
    }

    waf = ngx_http_wafcert_last_segment(&path);

    if (route->apply || !ngx_http_wafcert_is(&segment, "certificate")
        || !ngx_http_wafcert_is(&waf, "waf"))
    {
        item = 1;
        route->id = segment;
        segment = waf;
        waf = ngx_http_wafcert_last_segment(&path);
    }

    route->project = ngx_http_wafcert_last_segment(&path);

    if (!ngx_http_wafcert_is(&segment, "certificate")
        || !ngx_http_wafcert_is(&waf, "waf")
        || !ngx_http_wafcert_stands(r, wlcf, &path))
    {
        ngx_memzero(route, sizeof(ngx_http_wafcert_route_t));
        return WAFCERT_API_NOT_FOUND;
    }

    /* what is illegal will not do for a log or a variable either */

    if (!ngx_http_wafcert_is_project(&route->project)) {
        ngx_memzero(route, sizeof(ngx_http_wafcert_route_t));
        return WAFCERT_PROJECT_ILLEGAL;
    }

    if (item && !ngx_http_wafcert_is_id(&route->id)) {
        ngx_str_null(&route->id);
        return WAFCERT_ID_ILLEGAL;
    }

    return WAFCERT_OK;
}


/* "path" ends with the "v1" of a route */

static ngx_uint_t
ngx_http_wafcert_stands(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_str_t *path)
{
    ngx_str_t  base, segment;

    if (!wlcf->edge) {
        segment = ngx_http_wafcert_last_segment(path);

        return ngx_http_wafcert_is(&segment, "v1");
    }

    base = wlcf->base;

    /* after a "rewrite ... break" the location's prefix is no longer there */

    if (!r->valid_location && wlcf->path.len == 0 && !wlcf->rewrites_within) {
        ngx_str_set(&base, "/v1/");
    }

    return path->len + 1 == base.len
           && ngx_memcmp(path->data, base.data, path->len) == 0;
}


/* cuts it off, together with the slash before it */

static ngx_str_t
ngx_http_wafcert_last_segment(ngx_str_t *path)
{
    u_char     *p;
    ngx_str_t   segment;

    p = path->data + path->len;

    while (p > path->data && p[-1] != '/') {
        p--;
    }

    segment.data = p;
    segment.len = path->data + path->len - p;

    path->len = (p > path->data) ? p - path->data - 1 : 0;

    return segment;
}


static ngx_uint_t
ngx_http_wafcert_is(ngx_str_t *s, const char *word)
{
    return s->len == ngx_strlen(word)
           && ngx_memcmp(s->data, word, s->len) == 0;
}


ngx_uint_t
ngx_http_wafcert_is_project(ngx_str_t *project)
{
    u_char  *p, *last;

    p = project->data;
    last = p + project->len;

    if (p == last || project->len > NGX_HTTP_WAFCERT_PROJECT_MAX) {
        return 0;
    }

    for ( /* void */ ; p < last; p++) {

        if ((*p < 'a' || *p > 'z') && (*p < 'A' || *p > 'Z')
            && (*p < '0' || *p > '9') && *p != '_' && *p != '-')
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_wafcert_is_id(ngx_str_t *id)
{
    u_char      c;
    ngx_uint_t  i;

    if (id->len != 2 * NGX_WAFCERT_ID_LEN) {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        c = id->data[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_wafcert_method(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx,
    ngx_http_wafcert_route_t *route)
{
    ngx_uint_t                    item;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    item = (route->id.len != 0);

    if (route->apply) {
        ctx->allow = "POST";

    } else if (!wlcf->write) {
        ctx->allow = "GET, HEAD";

    } else {
        ctx->allow = item ? "GET, HEAD, PUT, DELETE" : "GET, HEAD, POST";
    }

    if (route->apply) {

        if (r->method == NGX_HTTP_POST) {
            ctx->call = NGX_HTTP_WAFCERT_APPLY;
            return NGX_OK;
        }

    } else if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        ctx->call = item ? NGX_HTTP_WAFCERT_SHOW : NGX_HTTP_WAFCERT_LIST;
        return NGX_OK;

    } else if (wlcf->write) {

        if (!item && r->method == NGX_HTTP_POST) {
            ctx->call = NGX_HTTP_WAFCERT_CREATE;
            return NGX_OK;
        }

        if (item && r->method == NGX_HTTP_PUT) {
            ctx->call = NGX_HTTP_WAFCERT_MODIFY;
            return NGX_OK;
        }

        if (item && r->method == NGX_HTTP_DELETE) {
            ctx->call = NGX_HTTP_WAFCERT_DELETE;
            return NGX_OK;
        }
    }

    return wafcert_refuse(&ctx->verdict, WAFCERT_METHOD_NOT_ALLOWED,
                          "the method is not one of: %s", ctx->allow);
}


/* a WAF that honours one would do what was not judged */

static ngx_int_t
ngx_http_wafcert_no_override(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_uint_t        i;
    const char       *name;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ngx_http_wafcert_asks_method(&r->args)) {
        return wafcert_refuse(&ctx->verdict, WAFCERT_METHOD_OVERRIDE,
                              "the request has the parameter _method");
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            name = ngx_http_wafcert_header_in(&h[i],
                                              ngx_http_wafcert_methods);

            /* a gateway sends nothing on; the same path does no harm */

            if (name == NULL && ctx->conf->edge
                && (h[i].value.len != r->unparsed_uri.len
                    || ngx_memcmp(h[i].value.data, r->unparsed_uri.data,
                                  h[i].value.len)
                       != 0))
            {
                name = ngx_http_wafcert_path_header(&h[i]);
            }

            if (name) {
                return wafcert_refuse(&ctx->verdict, WAFCERT_METHOD_OVERRIDE,
                                      "the request has the header %s", name);
            }
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_wafcert_asks_method(ngx_str_t *args)
{
    u_char  *p, *last;

    last = args->data + args->len;

    for (p = args->data; p < last; p++) {

        if (ngx_http_wafcert_is_method(p, last)) {
            return 1;
        }

        while (p < last && *p != '&' && *p != ';') {
            p++;
        }
    }

    return 0;
}


/*
 * The name "_method", in whatever case and encoding it comes, and as a member
 * of an array.  PHP has "_" for ".", "[" and a space within, and cuts off those
 * spaces that come first; Rack does so with brackets.
 */

static ngx_uint_t
ngx_http_wafcert_is_method(u_char *p, u_char *last)
{
    u_char       ch;
    ngx_uint_t   sign;
    const char  *name;

    sign = 0;

    while ((ch = ngx_http_wafcert_name_char(&p, last)) != 0
           && ngx_strchr("_.[] ", ch))
    {
        sign |= (ch == '_' || ch == '.' || ch == '[');
    }

    for (name = "method"; *name; name++) {

        if (ngx_tolower(ch) != (u_char) *name) {
            return 0;
        }

        ch = ngx_http_wafcert_name_char(&p, last);
    }

    return sign && (ch == '\0' || ngx_strchr("=&;[]", ch));
}


u_char
ngx_http_wafcert_name_char(u_char **pos, u_char *last)
{
    u_char     *p;
    ngx_int_t   ch;

    p = *pos;

    if (p == last || *p == '&' || *p == ';') {
        return '\0';
    }

    ch = (*p == '%' && last - p > 2) ? ngx_hextoi(p + 1, 2) : NGX_ERROR;

    *pos += (ch == NGX_ERROR) ? 1 : 3;

    return (ch != NGX_ERROR) ? (u_char) ch : (*p == '+') ? ' ' : *p;
}


const char *
ngx_http_wafcert_path_header(ngx_table_elt_t *h)
{
    return ngx_http_wafcert_header_in(h, ngx_http_wafcert_paths);
}


static const char *
ngx_http_wafcert_header_in(ngx_table_elt_t *h, const char **names)
{
    for ( /* void */ ; *names; names++) {
        if (ngx_http_wafcert_is_header(h, *names)) {
            return *names;
        }
    }

    return NULL;
}


/* servers that are handed headers as variables know no "-" */

static ngx_uint_t
ngx_http_wafcert_is_header(ngx_table_elt_t *h, const char *name)
{
    u_char  c;
    size_t  i;

    if (h->key.len != ngx_strlen(name)) {
        return 0;
    }

    for (i = 0; i < h->key.len; i++) {
        c = h->lowcase_key[i];

        if ((c == '_' ? '-' : c) != (u_char) name[i]) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_wafcert_content_type(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    u_char      c;
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL) {
        return NGX_OK;
    }

    type = &r->headers_in.content_type->value;

    if (type->len >= sizeof("application/json") - 1
        && ngx_strncasecmp(type->data, (u_char *) "application/json",
                           sizeof("application/json") - 1)
           == 0)
    {
        if (type->len == sizeof("application/json") - 1) {
            return NGX_OK;
        }

        c = type->data[sizeof("application/json") - 1];

        if (c == ';' || c == ' ' || c == '\t') {
            return NGX_OK;
        }
    }

    return wafcert_refuse(&ctx->verdict, WAFCERT_CONTENT_TYPE,
                          "the Content-Type is not application/json");
}


static ngx_int_t
ngx_http_wafcert_content_encoding(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!ngx_http_wafcert_is_header(&h[i], "content-encoding")) {
                continue;
            }

            value = &h[i].value;

            if (value->len == 0
                || (value->len == sizeof("identity") - 1
                    && ngx_strncasecmp(value->data, (u_char *) "identity",
                                       value->len)
                       == 0))
            {
                continue;
            }

            return wafcert_refuse(&ctx->verdict, WAFCERT_CONTENT_ENCODING,
                                  "the body has the Content-Encoding "
                                  "\"%.*s\", and none is decoded here",
                                  wafcert_cut(value, 40), value->data);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_show(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_uint_t                    key;
    ngx_http_wafcert_ctx_t       *ctx;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    rc = ngx_http_wafcert_discard_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    key = (wlcf->return_key == NGX_HTTP_WAFCERT_RETURN_KEY_ALWAYS);

    rc = ngx_http_wafcert_get(r, ctx, key, r->pool, &ctx->current);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_wafcert_refuse(r);
    }

    ngx_http_wafcert_about(ctx, &ctx->current.record);

    return ngx_http_wafcert_in_turns(r, ctx, ngx_http_wafcert_show_current);
}


/* NGX_AGAIN: its names are many, and others have their turn first */

static ngx_int_t
ngx_http_wafcert_show_current(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx)
{
    size_t             size;
    int64_t            now;
    ngx_int_t          rc;
    ngx_buf_t         *b;
    ngx_uint_t         parts;
    wafcert_key_t     *key;
    wafcert_record_t  *record;

    record = &ctx->current.record;
    key = ctx->current.key.der.data ? &ctx->current.key : NULL;

    rc = ngx_http_wafcert_review(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_wafcert_serve_warnings(r, record) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ctx->won.seen = 0;

    rc = ngx_http_wafcert_bind_hosts(r, &ctx->won, ctx->change.id, record,
                                     r->pool);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    now = ngx_http_wafcert_now();
    parts = WAFCERT_JSON_CONTENT|WAFCERT_JSON_STATUS|WAFCERT_JSON_DETAILS;

    size = wafcert_json_certificate(NULL, record, key, parts, now);

    b = ngx_http_wafcert_buf(r->pool, size, key != NULL);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last += wafcert_json_certificate(b->last, record, key, parts, now);

    return ngx_http_wafcert_answer(r, b, record->revision);
}


/*
 * What was stored by an older version is exempt from the rules that came
 * after it; what they have against it is told.  Of others it is found out
 * again what their warnings are about.  NGX_AGAIN: as a write.
 *
 * It is for show alone.  The API has warnings in answers about one certificate;
 * the items of a list have none, of old records or new ones, for a list may
 * have thousands, and to judge them takes a worker seconds.
 */

static ngx_int_t
ngx_http_wafcert_review(ngx_http_request_t *r, ngx_http_wafcert_ctx_t *ctx)
{
    ngx_int_t                      rc;
    ngx_str_t                      key, *content;
    wafcert_facts_t               *facts;
    wafcert_policy_t               policy;
    wafcert_verdict_t             *verdict;
    ngx_http_wafcert_loc_conf_t   *wlcf;
    ngx_http_wafcert_main_conf_t  *wmcf;

    facts = &ctx->current.facts;

    if (ctx->reviewed
        || (!facts->unjudged && !(facts->warnings & WAFCERT_WORDS_WANTED)))
    {
        return NGX_OK;
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);
    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);

    content = &ctx->upload.content;
    verdict = ngx_palloc(r->pool, sizeof(wafcert_verdict_t));

    if (verdict == NULL
        || (content->data == NULL
            && ngx_http_wafcert_current_pem(r, ctx, content, &key) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&policy, sizeof(wafcert_policy_t));
    policy.chain = WAFCERT_CHAIN_KEEP;
    policy.patient = ctx->turns++ < NGX_HTTP_WAFCERT_TURNS;

    if (facts->warnings & wafcert_warning(WAFCERT_WARN_UNTRUSTED)) {
        policy.trust = wlcf->policy.trust;
    }

    rc = wafcert_validate(wmcf->validator, &ctx->bundle, content, NULL,
                          &policy, ngx_http_wafcert_now(), verdict);

    ctx->validated = (rc == NGX_OK);
    ctx->reviewed = (rc != NGX_AGAIN);

    switch (rc) {

    case NGX_OK:
        ngx_http_wafcert_reviewed(ctx, policy.trust != NULL);
        return NGX_OK;

    case NGX_DECLINED:

        if (facts->unjudged) {
            ctx->current.record.refusal = verdict;
        }

        return NGX_OK;

    case NGX_AGAIN:
        return NGX_AGAIN;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static void
ngx_http_wafcert_reviewed(ngx_http_wafcert_ctx_t *ctx, ngx_uint_t trust)
{
    wafcert_facts_t  *facts, *found;

    facts = &ctx->current.facts;
    found = &ctx->bundle.facts;

    /* its issuer may have been the root that was left out */

    if (facts->warnings & wafcert_warning(WAFCERT_WARN_ROOT_DROPPED)) {
        found->warnings &= ~wafcert_warning(WAFCERT_WARN_CHAIN_INCOMPLETE);
    }

    /* the operator may have put its root there since */

    if (trust) {
        facts->warnings &= ~wafcert_warning(WAFCERT_WARN_UNTRUSTED);
    }

    facts->warnings |= found->warnings;
    facts->fault = found->fault;
    ctx->current.record.words = ctx->bundle.words;
}
