
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"


static ngx_int_t ngx_http_wafcert_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_wafcert_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static void *ngx_http_wafcert_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_wafcert_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_wafcert_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_wafcert_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_wafcert_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_wafcert_auth(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_wafcert_invalid(ngx_conf_t *cf, ngx_str_t *value);
static ngx_int_t ngx_http_wafcert_init_process(ngx_cycle_t *cycle);
static void ngx_http_wafcert_exit_process(ngx_cycle_t *cycle);


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


static ngx_conf_enum_t  ngx_http_wafcert_expired[] = {
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

    { ngx_string("wafcert_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_wafcert_auth,
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

    { ngx_string("wafcert_quota"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, quota),
      NULL },

    { ngx_string("wafcert_expired"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, reject_expired),
      &ngx_http_wafcert_expired },

    { ngx_string("wafcert_min_rsa_bits"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, min_rsa_bits),
      NULL },

    { ngx_string("wafcert_chain"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_wafcert_loc_conf_t, chain),
      &ngx_http_wafcert_chains },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_wafcert_module_ctx = {
    ngx_http_wafcert_add_variables,        /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_wafcert_create_main_conf,     /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_wafcert_create_loc_conf,      /* create location configuration */
    ngx_http_wafcert_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_wafcert_module = {
    NGX_MODULE_V1,
    &ngx_http_wafcert_module_ctx,          /* module context */
    ngx_http_wafcert_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_wafcert_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_wafcert_exit_process,         /* exit process */
    NULL,                                  /* exit master */
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

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                value;
    const wafcert_reason_t  *reason;
    ngx_http_wafcert_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_wafcert_module);

    ngx_str_null(&value);

    if (ctx) {
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


static void *
ngx_http_wafcert_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_wafcert_main_conf_t));
    if (wmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&wmcf->zones, cf->pool, 1, sizeof(ngx_shm_zone_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return wmcf;
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
     *     conf->policy = { 0 };
     */

    conf->write = NGX_CONF_UNSET;
    conf->auth = NGX_CONF_UNSET_UINT;
    conf->tokens = NGX_CONF_UNSET_PTR;
    conf->max_body_size = NGX_CONF_UNSET_SIZE;
    conf->denied_status = NGX_CONF_UNSET_UINT;
    conf->return_key = NGX_CONF_UNSET_UINT;
    conf->quota = NGX_CONF_UNSET;
    conf->reject_expired = NGX_CONF_UNSET_UINT;
    conf->min_rsa_bits = NGX_CONF_UNSET;
    conf->chain = NGX_CONF_UNSET_UINT;

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
    ngx_conf_merge_ptr_value(conf->tokens, prev->tokens, NULL);
    ngx_conf_merge_size_value(conf->max_body_size, prev->max_body_size,
                              128 * 1024);
    ngx_conf_merge_uint_value(conf->denied_status, prev->denied_status,
                              NGX_HTTP_UNAUTHORIZED);
    ngx_conf_merge_uint_value(conf->return_key, prev->return_key,
                              NGX_HTTP_WAFCERT_RETURN_KEY_CREATE);
    ngx_conf_merge_value(conf->quota, prev->quota, 0);
    ngx_conf_merge_uint_value(conf->reject_expired, prev->reject_expired, 0);
    ngx_conf_merge_value(conf->min_rsa_bits, prev->min_rsa_bits, 0);
    ngx_conf_merge_uint_value(conf->chain, prev->chain, WAFCERT_CHAIN_REPAIR);

    conf->policy.reject_expired = conf->reject_expired;
    conf->policy.min_rsa_bits = conf->min_rsa_bits;
    conf->policy.chain = conf->chain;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wafcert_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (wmcf->zones.nelts
        && ngx_http_wafcert_guard_log(cf, clcf->error_log) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (clcf->noname && conf->shm_zone == NULL) {
        conf->shm_zone = prev->shm_zone;
        conf->write = prev->write;
    }

    if (conf->shm_zone == NULL) {
        return NGX_CONF_OK;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_http_wafcert_api_handler;
    }

    if (conf->auth == NGX_HTTP_WAFCERT_AUTH_UNSET) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"wafcert_auth\" is defined for the "
                           "\"wafcert_api\" in location \"%V\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    /* wafcert_max_body_size takes its place, with an answer in JSON */

    clcf->client_max_body_size = 0;

    return NGX_CONF_OK;
}


static char *
ngx_http_wafcert_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_main_conf_t  *wmcf = conf;

    u_char          *p;
    ssize_t          size;
    ngx_str_t       *value, name, s;
    ngx_uint_t       i;
    ngx_shm_zone_t  *shm_zone, **zone;

    value = cf->args->elts;

    ngx_str_null(&name);
    size = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) != 0) {
            return ngx_http_wafcert_invalid(cf, &value[i]);
        }

        name.data = value[i].data + 5;

        p = (u_char *) ngx_strchr(name.data, ':');
        if (p == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid zone size \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        name.len = p - name.data;

        s.data = p + 1;
        s.len = value[i].data + value[i].len - s.data;

        size = ngx_parse_size(&s);

        if (size <= 0 || name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid zone %s \"%V\"",
                               name.len ? "size" : "name", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (size == 0) {
        return "has no parameter \"zone\"";
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

    return NGX_CONF_OK;
}


static char *
ngx_http_wafcert_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value, name;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (wlcf->shm_zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wlcf->write = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0
            && value[i].len > 5)
        {
            name.data = value[i].data + 5;
            name.len = value[i].len - 5;

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
ngx_http_wafcert_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    ngx_str_t  *value, file;

    if (wlcf->auth != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->auth = NGX_HTTP_WAFCERT_AUTH_OFF;
        wlcf->tokens = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[1].data, "tokens=", 7) == 0 && value[1].len > 7) {
        file.data = value[1].data + 7;
        file.len = value[1].len - 7;

        wlcf->auth = NGX_HTTP_WAFCERT_AUTH_TOKENS;
        return ngx_http_wafcert_auth_tokens(cf, &wlcf->tokens, &file);
    }

    return ngx_http_wafcert_invalid(cf, &value[1]);
}


static char *
ngx_http_wafcert_invalid(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       value);
    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_wafcert_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_shm_zone_t               **zone;
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_wafcert_module);

    if (wmcf == NULL || wmcf->zones.nelts == 0
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
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
        ngx_wafcert_store_sweep(zone[i]->data, cycle->log);
    }

    return NGX_OK;
}


static void
ngx_http_wafcert_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_wafcert_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_wafcert_module);

    if (wmcf && wmcf->validator) {
        wafcert_validator_free(wmcf->validator);
    }
}
