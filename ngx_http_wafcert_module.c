
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include "ngx_wafcert_flush.h"
#include "ngx_wafcert_sync.h"


static ngx_int_t ngx_http_wafcert_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_wafcert_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static void ngx_http_wafcert_early(ngx_http_request_t *r, uintptr_t data,
    ngx_str_t *value);

static ngx_int_t ngx_http_wafcert_init(ngx_conf_t *cf);
static void *ngx_http_wafcert_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_wafcert_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_wafcert_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_wafcert_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
#if (nginx_version >= 1031005)
static ngx_int_t ngx_http_wafcert_check_early_read(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_http_wafcert_loc_conf_t *conf);
#endif
static void ngx_http_wafcert_inherit(ngx_http_core_loc_conf_t *clcf,
    ngx_http_wafcert_loc_conf_t *prev, ngx_http_wafcert_loc_conf_t *conf);
static char *ngx_http_wafcert_merge_api(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_http_wafcert_loc_conf_t *conf);
static char *ngx_http_wafcert_merge_edge(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_http_wafcert_loc_conf_t *conf);
static ngx_int_t ngx_http_wafcert_base(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *base);
static ngx_uint_t ngx_http_wafcert_begins(u_char *p, u_char *last);
static ngx_int_t ngx_http_wafcert_add_writer(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_http_wafcert_loc_conf_t *conf);
static char *ngx_http_wafcert_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ssize_t ngx_http_wafcert_zone_size(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *name);
static char *ngx_http_wafcert_state(ngx_conf_t *cf, ngx_shm_zone_t *shm_zone,
    ngx_str_t *dir, ngx_str_t *key, ngx_str_t *threads);
static wafcert_seal_t *ngx_http_wafcert_seal(ngx_conf_t *cf,
    ngx_str_t *file);
static char *ngx_http_wafcert_quota(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_wafcert_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_wafcert_validate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_wafcert_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_wafcert_init_process(ngx_cycle_t *cycle);
static void ngx_http_wafcert_no_core_dump(ngx_log_t *log);
static void ngx_http_wafcert_exit_process(ngx_cycle_t *cycle);
static void ngx_http_wafcert_exit_master(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_wafcert_denied_statuses[] = {
    { ngx_string("401"), NGX_HTTP_UNAUTHORIZED },
    { ngx_string("403"), NGX_HTTP_FORBIDDEN },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_wafcert_return_keys[] = {
    { ngx_string("never"), NGX_HTTP_WAFCERT_RETURN_KEY_NEVER },
    { ngx_string("create"), NGX_HTTP_WAFCERT_RETURN_KEY_CREATE },
    { ngx_string("always"), NGX_HTTP_WAFCERT_RETURN_KEY_ALWAYS },
    { ngx_null_string, 0 }
};


/* wafcert_expired, wafcert_untrusted */

static ngx_conf_enum_t  ngx_http_wafcert_rejects[] = {
    { ngx_string("accept"), 0 },
    { ngx_string("reject"), 1 },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_wafcert_chains[] = {
    { ngx_string("repair"), WAFCERT_CHAIN_REPAIR },
    { ngx_string("keep"), WAFCERT_CHAIN_KEEP },
    { ngx_string("strict"), WAFCERT_CHAIN_STRICT },
    { ngx_null_string, 0 }
};


static ngx_conf_num_bounds_t  ngx_http_wafcert_max_rsa_bits_bounds = {
    ngx_conf_check_num_bounds, 0, WAFCERT_RSA_MAX_BITS
};


static ngx_conf_num_bounds_t  ngx_http_wafcert_max_hosts_bounds = {
    ngx_conf_check_num_bounds, 1, -1
};


static ngx_command_t  ngx_http_wafcert_commands[] = {

    { ngx_string("wafcert_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_wafcert_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_wafcert_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_validate"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_wafcert_validate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_serve"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_wafcert_serve,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_serve_names"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_2MORE,
      ngx_http_wafcert_serve_names,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_serve_cache"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_wafcert_serve_cache,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_wafcert_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_auth_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, auth_cache),
      NULL },

    { ngx_string("wafcert_auth_roles"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_wafcert_auth_roles,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_auth_service"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_wafcert_auth_service,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_denied_status"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, denied_status),
      &ngx_http_wafcert_denied_statuses },

    { ngx_string("wafcert_return_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, return_key),
      &ngx_http_wafcert_return_keys },

    { ngx_string("wafcert_max_body_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, max_body_size),
      NULL },

    { ngx_string("wafcert_max_hosts"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, max_hosts),
      &ngx_http_wafcert_max_hosts_bounds },

    { ngx_string("wafcert_quota"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_wafcert_quota,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, quota),
      NULL },

    { ngx_string("wafcert_expired"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, reject_expired),
      &ngx_http_wafcert_rejects },

    { ngx_string("wafcert_min_rsa_bits"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, min_rsa_bits),
      NULL },

    { ngx_string("wafcert_max_rsa_bits"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, max_rsa_bits),
      &ngx_http_wafcert_max_rsa_bits_bounds },

    { ngx_string("wafcert_chain"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, chain),
      &ngx_http_wafcert_chains },

    { ngx_string("wafcert_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_wafcert_trusted_certificate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wafcert_untrusted"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, reject_untrusted),
      &ngx_http_wafcert_rejects },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_wafcert_module_ctx = {
    ngx_http_wafcert_add_variables,        /* preconfiguration */
    ngx_http_wafcert_init,                 /* postconfiguration */

    ngx_http_wafcert_create_main_conf,     /* create main configuration */
    ngx_http_wafcert_init_main_conf,       /* init main configuration */

    ngx_http_wafcert_create_srv_conf,      /* create server configuration */
    ngx_http_wafcert_merge_srv_conf,       /* merge server configuration */

    ngx_http_wafcert_create_loc_conf,      /* create location configuration */
    ngx_http_wafcert_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_wafcert_module = {
    NGX_MODULE_V1,
    &ngx_http_wafcert_module_ctx,          /* module context */
    ngx_http_wafcert_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_wafcert_init_module,          /* init module */
    ngx_http_wafcert_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_wafcert_exit_process,         /* exit process */
    ngx_http_wafcert_exit_master,          /* exit master */
    NGX_MODULE_V1_PADDING
};


enum {
    NGX_HTTP_WAFCERT_VAR_PROJECT = 0,
    NGX_HTTP_WAFCERT_VAR_ID,
    NGX_HTTP_WAFCERT_VAR_NAME,
    NGX_HTTP_WAFCERT_VAR_ERROR_CODE,
    NGX_HTTP_WAFCERT_VAR_REASON,
    NGX_HTTP_WAFCERT_VAR_FINGERPRINT
};


static ngx_http_variable_t  ngx_http_wafcert_vars[] = {

    { ngx_string("wafcert_project"), NULL, ngx_http_wafcert_variable,
      NGX_HTTP_WAFCERT_VAR_PROJECT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("wafcert_id"), NULL, ngx_http_wafcert_variable,
      NGX_HTTP_WAFCERT_VAR_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("wafcert_name"), NULL, ngx_http_wafcert_variable,
      NGX_HTTP_WAFCERT_VAR_NAME, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("wafcert_error_code"), NULL, ngx_http_wafcert_variable,
      NGX_HTTP_WAFCERT_VAR_ERROR_CODE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("wafcert_reason"), NULL, ngx_http_wafcert_variable,
      NGX_HTTP_WAFCERT_VAR_REASON, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("wafcert_fingerprint"), NULL, ngx_http_wafcert_variable,
      NGX_HTTP_WAFCERT_VAR_FINGERPRINT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_wafcert_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_wafcert_vars; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    if (ngx_http_wafcert_beside_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_wafcert_tls_variables(cf);
}


static ngx_int_t
ngx_http_wafcert_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                value;
    const wafcert_reason_t  *reason;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_wafcert_find_ctx(r);

    ngx_str_null(&value);

    if (ctx == NULL) {
        ngx_http_wafcert_early(r, data, &value);

    } else {
        reason = ctx->verdict.reason ? wafcert_reason(ctx->verdict.reason)
                                     : NULL;
        switch (data) {

        case NGX_HTTP_WAFCERT_VAR_PROJECT:
            value = ctx->project;
            break;

        case NGX_HTTP_WAFCERT_VAR_ID:
            if (ctx->has_id) {
                value.data = ctx->id;
                value.len = sizeof(ctx->id);
            }

            break;

        case NGX_HTTP_WAFCERT_VAR_NAME:
            value = ctx->name;
            break;

        case NGX_HTTP_WAFCERT_VAR_ERROR_CODE:
            if (reason) {
                value.data = (u_char *) reason->error_code;
                value.len = ngx_strlen(reason->error_code);
            }

            break;

        case NGX_HTTP_WAFCERT_VAR_REASON:
            if (reason) {
                value.data = (u_char *) reason->slug;
                value.len = ngx_strlen(reason->slug);
            }

            break;

        default: /* NGX_HTTP_WAFCERT_VAR_FINGERPRINT */
            if (ctx->has_fingerprint) {
                value.data = ctx->fingerprint;
                value.len = sizeof(ctx->fingerprint);
            }
        }
    }

    if (value.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = value.data;
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* asked for before the request is judged, as limit_req does */

static void
ngx_http_wafcert_early(ngx_http_request_t *r, uintptr_t data,
    ngx_str_t *value)
{
    ngx_http_wafcert_route_t      route;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    if (wlcf->shm_zone == NULL) {
        return;
    }

    (void) ngx_http_wafcert_find_route(r, &route);

    if (data == NGX_HTTP_WAFCERT_VAR_PROJECT) {
        *value = route.project;

    } else if (data == NGX_HTTP_WAFCERT_VAR_ID) {
        *value = route.id;
    }
}


static void *
ngx_http_wafcert_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_wafcert_main_conf_t));
    if (wmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&wmcf->zones, cf->pool, 1, sizeof(ngx_shm_zone_t *))
        != NGX_OK
        || ngx_array_init(&wmcf->views, cf->pool, 1,
                          sizeof(ngx_http_wafcert_view_t *))
           != NGX_OK
        || ngx_array_init(&wmcf->writers, cf->pool, 1,
                          sizeof(ngx_http_wafcert_writer_t))
           != NGX_OK
        || ngx_http_wafcert_trust_init(cf, &wmcf->trusts) != NGX_OK)
    {
        return NULL;
    }

    wmcf->serve_cache = NGX_CONF_UNSET;
    wmcf->serve_cache_size = 64 * 1024 * 1024;

    return wmcf;
}


static char *
ngx_http_wafcert_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_wafcert_main_conf_t  *wmcf = conf;

    ngx_conf_init_value(wmcf->serve_cache, 1000);

    return NGX_CONF_OK;
}


static void *
ngx_http_wafcert_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_wafcert_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_wafcert_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->shm_zone = NULL;
     *     conf->iam_uri = { 0, NULL };
     *     conf->iam_scope = { 0, NULL };
     *     conf->read_roles = { 0, NULL };
     *     conf->write_roles = { 0, NULL };
     *     conf->edge = 0;
     *     conf->edges = 0;
     *     conf->locks = 0;
     *     conf->record = 0;
     *     conf->normalize = 0;
     *     conf->path = { 0, NULL };
     *     conf->base = { 0, NULL };
     *     conf->proxy_pass = { 0, NULL };
     *     conf->proxy_url = NULL;
     *     conf->proxy_maps = 0;
     *     conf->rewrites_within = 0;
     *     conf->rewrites = NULL;
     *     conf->root = NULL;
     *     conf->policy = { 0 };
     */

    conf->write = NGX_CONF_UNSET;
    conf->mirror = NGX_CONF_UNSET;
    conf->mirror_body = NGX_CONF_UNSET;
    conf->auth = NGX_CONF_UNSET_UINT;
    conf->auth_all = NGX_CONF_UNSET;
    conf->tokens = NGX_CONF_UNSET_PTR;
    conf->auth_cache = NGX_CONF_UNSET_MSEC;
    conf->service = NGX_CONF_UNSET_PTR;
    conf->max_body_size = NGX_CONF_UNSET_SIZE;
    conf->denied_status = NGX_CONF_UNSET_UINT;
    conf->return_key = NGX_CONF_UNSET_UINT;
    conf->max_hosts = NGX_CONF_UNSET;
    conf->quota = NGX_CONF_UNSET;
    conf->reject_expired = NGX_CONF_UNSET_UINT;
    conf->min_rsa_bits = NGX_CONF_UNSET;
    conf->max_rsa_bits = NGX_CONF_UNSET;
    conf->chain = NGX_CONF_UNSET_UINT;
    conf->trust = NGX_CONF_UNSET_PTR;
    conf->reject_untrusted = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_wafcert_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_wafcert_loc_conf_t *prev = parent;
    ngx_http_wafcert_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_wafcert_main_conf_t  *wmcf;

    ngx_conf_merge_uint_value(conf->auth, prev->auth,
                              NGX_HTTP_WAFCERT_AUTH_UNSET);
    ngx_conf_merge_value(conf->auth_all, prev->auth_all, 0);
    ngx_conf_merge_ptr_value(conf->tokens, prev->tokens, NULL);
    ngx_conf_merge_str_value(conf->iam_uri, prev->iam_uri, "");
    ngx_conf_merge_msec_value(conf->auth_cache, prev->auth_cache, 60000);
    ngx_conf_merge_str_value(conf->read_roles, prev->read_roles, "");
    ngx_conf_merge_str_value(conf->write_roles, prev->write_roles, "");
    ngx_conf_merge_ptr_value(conf->service, prev->service, NULL);
    ngx_conf_merge_size_value(conf->max_body_size, prev->max_body_size,
                              128 * 1024);
    ngx_conf_merge_uint_value(conf->denied_status, prev->denied_status,
                              NGX_HTTP_UNAUTHORIZED);
    ngx_conf_merge_uint_value(conf->return_key, prev->return_key,
                              NGX_HTTP_WAFCERT_RETURN_KEY_CREATE);
    ngx_conf_merge_value(conf->max_hosts, prev->max_hosts, 1000);

    if (conf->quota == NGX_CONF_UNSET) {
        conf->quota_size = prev->quota_size;
    }

    ngx_conf_merge_value(conf->quota, prev->quota, 0);
    ngx_conf_merge_uint_value(conf->reject_expired, prev->reject_expired, 0);
    ngx_conf_merge_value(conf->min_rsa_bits, prev->min_rsa_bits, 0);
    ngx_conf_merge_value(conf->max_rsa_bits, prev->max_rsa_bits, 4096);
    ngx_conf_merge_uint_value(conf->chain, prev->chain, WAFCERT_CHAIN_REPAIR);
    ngx_conf_merge_ptr_value(conf->trust, prev->trust, NULL);
    ngx_conf_merge_uint_value(conf->reject_untrusted, prev->reject_untrusted,
                              0);

    conf->policy.reject_expired = conf->reject_expired;
    conf->policy.min_rsa_bits = conf->min_rsa_bits;
    conf->policy.max_rsa_bits = conf->max_rsa_bits;
    conf->policy.max_hosts = conf->max_hosts;
    conf->policy.chain = conf->chain;
    conf->policy.trust = conf->trust;
    conf->policy.reject_untrusted = conf->reject_untrusted;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wafcert_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (wmcf->zones.nelts
        && ngx_http_wafcert_guard_log(cf, clcf->error_log) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_http_wafcert_inherit(clcf, prev, conf);

    if (conf->shm_zone == NULL) {
        return (clcf->name.len && clcf->name.data[0] == '@')
               ? ngx_http_wafcert_beside_named(cf, conf) : NGX_CONF_OK;
    }

    if (conf->auth == NGX_HTTP_WAFCERT_AUTH_REQUEST
        && ngx_http_wafcert_iam_scope(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->reject_untrusted && conf->trust == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"wafcert_trusted_certificate\" is defined for "
                           "the \"wafcert_untrusted reject\" in location "
                           "\"%V\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_wafcert_add_writer(cf, clcf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

#if (nginx_version >= 1031005)
    if (ngx_http_wafcert_check_early_read(cf, clcf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
#endif

    return conf->edge ? ngx_http_wafcert_merge_edge(cf, clcf, conf)
                      : ngx_http_wafcert_merge_api(cf, clcf, conf);
}


#if (nginx_version >= 1031005)

static ngx_int_t
ngx_http_wafcert_check_early_read(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_http_wafcert_loc_conf_t *conf)
{
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    if (!cscf->client_body_early_read) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"client_body_early_read\" would write keys into "
                       "files before location \"%V\", which has "
                       "\"wafcert_%s\"", &clcf->name,
                       conf->edge ? "validate" : "api");
    return NGX_ERROR;
}

#endif


/* a nested location is not to be a way around what stands above it */

static void
ngx_http_wafcert_inherit(ngx_http_core_loc_conf_t *clcf,
    ngx_http_wafcert_loc_conf_t *prev, ngx_http_wafcert_loc_conf_t *conf)
{
    ngx_conf_merge_value(conf->mirror, prev->mirror, 0);
    ngx_conf_merge_value(conf->mirror_body, prev->mirror_body, 1);

    if (clcf->noname) {
        conf->rewrites_within |= prev->rewrites_within;

        if (conf->proxy_pass.len == 0) {
            conf->proxy_pass = prev->proxy_pass;
            conf->proxy_url = prev->proxy_url;
            conf->proxy_maps = prev->proxy_maps;
        }
    }

    conf->root = clcf->root.data;

    if (conf->rewrites == NULL) {
        conf->rewrites = prev->rewrites;
    }

    if (conf->shm_zone || prev->shm_zone == NULL) {
        return;
    }

    /* what has another handler, or files of its own, is no API */

    if (!prev->edge && !clcf->noname
        && (clcf->handler || conf->root != prev->root))
    {
        return;
    }

    conf->shm_zone = prev->shm_zone;
    conf->write = prev->write;
    conf->edge = prev->edge;
    conf->record = prev->record;
    conf->normalize = prev->normalize;
    conf->path = prev->path;
    conf->base = prev->base;
}


static char *
ngx_http_wafcert_merge_api(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_http_wafcert_loc_conf_t *conf)
{
    if (clcf->handler == NULL && (clcf->lmt_excpt || !clcf->noname)) {
        clcf->handler = ngx_http_wafcert_api_handler;
    }

    if (conf->auth == NGX_HTTP_WAFCERT_AUTH_UNSET) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"wafcert_auth\" is defined for the "
                           "\"wafcert_api\" in location \"%V\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->mirror && conf->mirror_body) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mirror\" without \"mirror_request_body off\" "
                           "would write keys into files in location \"%V\", "
                           "which has \"wafcert_api\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    /* wafcert_max_body_size takes its place, with an answer in JSON */

    clcf->client_max_body_size = 0;

    return NGX_CONF_OK;
}


static char *
ngx_http_wafcert_merge_edge(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_http_wafcert_loc_conf_t *conf)
{
    ngx_str_t                     path;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_wafcert_loc_conf_t  *server;

    if (conf->auth_all) {
        cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
        server = cscf->ctx->loc_conf[ngx_http_wafcert_module.ctx_index];
        server->locks = 1;
    }

    if (clcf->client_body_in_file_only) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"client_body_in_file_only\" would write keys "
                           "into files in location \"%V\", which has "
                           "\"wafcert_validate\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->base.len == 0) {

        path = conf->path.len ? conf->path : clcf->name;

        if (conf->path.len == 0
            && (clcf->named
#if (NGX_PCRE)
                || clcf->regex
#endif
               ))
        {
            ngx_str_set(&path, "/");
        }

        if (ngx_http_wafcert_base(cf, &path, &conf->base) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_wafcert_beside_validate(cf, conf, clcf);
}


/*
 * Where routes stand below a prefix: "/waf/v1/" of "/waf/" and "/waf", "/v1/"
 * of "/", of what ends with "/v1/" or in the middle of that, and of what goes
 * on as a route does: "/v1/project/waf/".
 */

static ngx_int_t
ngx_http_wafcert_base(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *base)
{
    u_char  *p, *last;

    last = path->data + path->len;

    for (p = path->data; p < last; p++) {
        if (ngx_http_wafcert_begins(p, last)) {
            break;
        }
    }

    base->len = p - path->data + sizeof("/v1/") - 1;

    base->data = ngx_pnalloc(cf->pool, base->len);
    if (base->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(base->data, path->data, p - path->data);
    ngx_memcpy(p, "/v1/", sizeof("/v1/") - 1);

    return NGX_OK;
}


/* whether what is left of a prefix is the first part of a route */

static ngx_uint_t
ngx_http_wafcert_begins(u_char *p, u_char *last)
{
    size_t  len;

    len = last - p;

    if (len <= sizeof("/v1/") - 1) {
        return ngx_strncmp(p, "/v1/", len) == 0;
    }

    if (ngx_strncmp(p, "/v1/", sizeof("/v1/") - 1) != 0) {
        return 0;
    }

    p = ngx_strlchr(p + sizeof("/v1/") - 1, last, '/');

    return p && last - p >= (ssize_t) sizeof("/waf/") - 1
           && ngx_strncmp(p, "/waf/", sizeof("/waf/") - 1) == 0;
}


/* An edge drops what the WAF does not list: an API may not add to its zone. */

static ngx_int_t
ngx_http_wafcert_add_writer(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_http_wafcert_loc_conf_t *conf)
{
    ngx_uint_t                     i;
    ngx_http_wafcert_writer_t     *writer;
    ngx_http_wafcert_main_conf_t  *wmcf;

    if (!(conf->edge ? conf->record : conf->write)) {
        return NGX_OK;
    }

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wafcert_module);

    writer = wmcf->writers.elts;

    for (i = 0; i < wmcf->writers.nelts; i++) {

        if (writer[i].shm_zone != conf->shm_zone
            || writer[i].edge == conf->edge)
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"wafcert_api\" in location \"%V\" and "
                           "\"wafcert_validate record=on\" in location "
                           "\"%V\" cannot share zone \"%V\": the edge would "
                           "erase what was uploaded to the API; have two "
                           "zones, or \"write=off\"",
                           conf->edge ? &writer[i].location : &clcf->name,
                           conf->edge ? &clcf->name : &writer[i].location,
                           &conf->shm_zone->shm.name);
        return NGX_ERROR;
    }

    writer = ngx_array_push(&wmcf->writers);
    if (writer == NULL) {
        return NGX_ERROR;
    }

    writer->shm_zone = conf->shm_zone;
    writer->location = clcf->name;
    writer->edge = conf->edge;

    if (conf->edge) {
        ngx_wafcert_store_ahead(conf->shm_zone);
    }

    return NGX_OK;
}


static char *
ngx_http_wafcert_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_main_conf_t  *wmcf = conf;

    ssize_t          size;
    ngx_str_t       *value, name, dir, key, threads;
    ngx_uint_t       i;
    ngx_shm_zone_t  *shm_zone, **zone;

    value = cf->args->elts;

    size = 0;
    ngx_str_null(&name);
    ngx_str_null(&dir);
    ngx_str_null(&key);
    ngx_str_null(&threads);

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0) {
            size = ngx_http_wafcert_zone_size(cf, &value[i], &name);
            if (size == NGX_ERROR) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_http_wafcert_parameter(&value[i], "state=", &dir)
            || ngx_http_wafcert_parameter(&value[i], "seal_key=", &key)
            || ngx_http_wafcert_parameter(&value[i], "threads=", &threads))
        {
            continue;
        }

        return ngx_http_wafcert_invalid(cf, &value[i]);
    }

    if (size == 0) {
        return "has no parameter \"zone\"";
    }

    if (dir.len && key.len == 0) {
        return "has \"state\" but no \"seal_key\"";
    }

    if (dir.len == 0 && (key.len || threads.len)) {
        return "has \"seal_key\" or \"threads\" but no \"state\"";
    }

    shm_zone = ngx_wafcert_store_add(cf, &name, size);
    if (shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone = ngx_array_push(&wmcf->zones);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    *zone = shm_zone;

    if (dir.len) {
        return ngx_http_wafcert_state(cf, shm_zone, &dir, &key, &threads);
    }

    return NGX_CONF_OK;
}


static ssize_t
ngx_http_wafcert_zone_size(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *name)
{
    u_char     *p;
    ssize_t     size;
    ngx_str_t   s;

    name->data = value->data + 5;

    p = (u_char *) ngx_strchr(name->data, ':');
    if (p == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid zone size \"%V\"",
                           value);
        return NGX_ERROR;
    }

    name->len = p - name->data;

    s.data = p + 1;
    s.len = value->data + value->len - s.data;

    size = ngx_parse_size(&s);

    if (size <= 0 || name->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid zone %s \"%V\"",
                           name->len ? "size" : "name", value);
        return NGX_ERROR;
    }

    return size;
}


ngx_uint_t
ngx_http_wafcert_parameter(ngx_str_t *value, const char *name, ngx_str_t *s)
{
    size_t  len;

    len = ngx_strlen(name);

    if (value->len <= len || ngx_strncmp(value->data, name, len) != 0) {
        return 0;
    }

    s->data = value->data + len;
    s->len = value->len - len;

    return 1;
}


static char *
ngx_http_wafcert_state(ngx_conf_t *cf, ngx_shm_zone_t *shm_zone,
    ngx_str_t *dir, ngx_str_t *key, ngx_str_t *threads)
{
    wafcert_seal_t  *seal;

    if (ngx_conf_full_name(cf->cycle, dir, 0) != NGX_OK
        || ngx_conf_full_name(cf->cycle, key, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    while (dir->len > 1 && dir->data[dir->len - 1] == '/') {
        dir->data[--dir->len] = '\0';
    }

    seal = ngx_http_wafcert_seal(cf, key);
    if (seal == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_wafcert_store_durable(cf, shm_zone, dir, seal, threads)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static wafcert_seal_t *
ngx_http_wafcert_seal(ngx_conf_t *cf, ngx_str_t *file)
{
    u_char            key[WAFCERT_SEAL_KEY_LEN];
    u_char            buf[2 * WAFCERT_SEAL_KEY_LEN + 2];
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_str_t         text;
    wafcert_seal_t   *seal;
    ngx_file_info_t   fi;

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", file);
        return NULL;
    }

    seal = NULL;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", file);
        goto done;
    }

    if (ngx_file_access(&fi) & 077) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "seal key \"%V\" can be used by others than its "
                           "owner: it must have mode 0600 or 0400", file);
        goto done;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));

    text.data = buf;
    text.len = n > 0 ? n : 0;

    if (wafcert_seal_key(key, &text) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "seal key \"%V\" has not 64 hexadecimal digits: "
                           "tools/seal-key makes one", file);
        goto done;
    }

    seal = wafcert_seal_create(key);

    if (seal == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "seal key \"%V\": no memory, or an OpenSSL "
                           "without AES-256-GCM", file);
    }

done:

    ngx_explicit_memzero(key, sizeof(key));
    ngx_explicit_memzero(buf, sizeof(buf));

    (void) ngx_close_file(fd);

    return seal;
}


static char *
ngx_http_wafcert_quota(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    char       *rv;
    ssize_t     size;
    ngx_str_t  *value;

    rv = ngx_conf_set_num_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || cf->args->nelts == 2) {
        return rv;
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[2]);
    if (size == NGX_ERROR) {
        return ngx_http_wafcert_invalid(cf, &value[2]);
    }

    wlcf->quota_size = size;

    return NGX_CONF_OK;
}


static char *
ngx_http_wafcert_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value, name;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (wlcf->edge) {
        return "cannot stand beside \"wafcert_validate\"";
    }

    if (wlcf->shm_zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wlcf->write = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_wafcert_parameter(&value[i], "zone=", &name)) {

            wlcf->shm_zone = ngx_wafcert_store_add(cf, &name, 0);
            if (wlcf->shm_zone == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "write=on") == 0) {
            wlcf->write = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "write=off") == 0) {
            wlcf->write = 0;
            continue;
        }

        return ngx_http_wafcert_invalid(cf, &value[i]);
    }

    if (wlcf->shm_zone == NULL) {
        return "has no parameter \"zone\"";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_wafcert_api_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_wafcert_validate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    ngx_str_t                     *value, name;
    ngx_uint_t                     i;
    ngx_http_core_srv_conf_t      *cscf;
    ngx_http_wafcert_loc_conf_t   *server;
    ngx_http_wafcert_main_conf_t  *wmcf;

    if (wlcf->shm_zone) {
        return wlcf->edge ? "is duplicate"
                          : "cannot stand beside \"wafcert_api\"";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_wafcert_parameter(&value[i], "zone=", &name)) {

            wlcf->shm_zone = ngx_wafcert_store_add(cf, &name, 0);
            if (wlcf->shm_zone == NULL) {
                return NGX_CONF_ERROR;
            }

        } else if (ngx_strcmp(value[i].data, "record=on") == 0) {
            wlcf->record = 1;

        } else if (ngx_strcmp(value[i].data, "record=off") == 0) {
            wlcf->record = 0;

        } else if (ngx_strcmp(value[i].data, "normalize=on") == 0) {
            wlcf->normalize = 1;

        } else if (ngx_strcmp(value[i].data, "normalize=off") == 0) {
            wlcf->normalize = 0;

        } else if (ngx_http_wafcert_parameter(&value[i], "path=",
                                              &wlcf->path)
                   && wlcf->path.data[0] == '/'
                   && wlcf->path.data[wlcf->path.len - 1] == '/')
        {
            continue;

        } else {
            return ngx_http_wafcert_invalid(cf, &value[i]);
        }
    }

    if (wlcf->shm_zone == NULL) {
        return "has no parameter \"zone\"";
    }

    wlcf->write = 1;
    wlcf->edge = 1;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wafcert_module);
    wmcf->edge = 1;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    server = cscf->ctx->loc_conf[ngx_http_wafcert_module.ctx_index];
    server->edges = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_wafcert_invalid(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       value);
    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_wafcert_init(ngx_conf_t *cf)
{
    if (ngx_http_wafcert_log_init(cf) != NGX_OK
        || ngx_http_wafcert_iam_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_wafcert_edge_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_wafcert_serve_init(cf);
}


static ngx_int_t
ngx_http_wafcert_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_core_conf_t               *ccf;
    ngx_shm_zone_t               **zone;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_wafcert_module);

    if (wmcf == NULL || wmcf->zones.nelts == 0) {
        return NGX_OK;
    }

    ngx_http_wafcert_no_core_dump(cycle->log);

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ccf->rlimit_core > 0) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "\"worker_rlimit_core\" has no effect beside "
                      "\"wafcert_zone\": core dumps would hold private keys");
    }

    zone = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {
        ngx_wafcert_sync_start(zone[i]->data, cycle->log);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_shm_zone_t               **zone;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_wafcert_module);

    if (wmcf == NULL || wmcf->zones.nelts == 0) {
        return NGX_OK;
    }

    /* nginx has just allowed it */

    ngx_http_wafcert_no_core_dump(cycle->log);

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    wmcf->validator = wafcert_validator_create();
    if (wmcf->validator == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "wafcert found OpenSSL without what it needs");
        return NGX_ERROR;
    }

    zone = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {
        ngx_wafcert_sync_sweep(zone[i]->data, cycle->log);

        if (ngx_wafcert_flush_init(cycle, zone[i]->data, wmcf->validator)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_wafcert_tls_init_process(cycle, wmcf);
}


/*
 * Uploads, keys that are served and what opens a state directory are in the
 * memory of a process itself, too.
 */

static void
ngx_http_wafcert_no_core_dump(ngx_log_t *log)
{
#if (NGX_HAVE_PR_SET_DUMPABLE)
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "prctl(PR_SET_DUMPABLE) failed, a core dump would hold "
                      "private keys");
    }
#endif
}


static void
ngx_http_wafcert_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_shm_zone_t               **zone;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_wafcert_module);

    if (wmcf && wmcf->validator) {

        zone = wmcf->zones.elts;

        for (i = 0; i < wmcf->zones.nelts; i++) {
            ngx_wafcert_flush_exit(zone[i]->data);
        }

        ngx_http_wafcert_tls_exit_process(wmcf);
        wafcert_validator_free(wmcf->validator);
    }
}


static void
ngx_http_wafcert_exit_master(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_shm_zone_t               **zone;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_wafcert_module);

    if (wmcf) {
        zone = wmcf->zones.elts;

        for (i = 0; i < wmcf->zones.nelts; i++) {
            ngx_wafcert_sync_end(zone[i]->data, cycle->log);
        }
    }
}
