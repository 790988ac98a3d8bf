
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"
#include "wafcert_trust.h"


/* A file is read once, however many blocks of the configuration name it. */

typedef struct {
    ngx_str_t         file;
    wafcert_trust_t  *trust;
} ngx_http_wafcert_trust_t;


static wafcert_trust_t *ngx_http_wafcert_trust_read(ngx_conf_t *cf,
    ngx_str_t *file);
static void ngx_http_wafcert_trust_cleanup(void *data);


ngx_int_t
ngx_http_wafcert_trust_init(ngx_conf_t *cf, ngx_array_t *trusts)
{
    return ngx_array_init(trusts, cf->pool, 1,
                          sizeof(ngx_http_wafcert_trust_t));
}


char *
ngx_http_wafcert_trusted_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_wafcert_loc_conf_t *wlcf = conf;

    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_wafcert_trust_t      *known;
    ngx_http_wafcert_main_conf_t  *wmcf;

    if (wlcf->trust != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_wafcert_invalid(cf, &value[1]);
    }

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wafcert_module);

    known = wmcf->trusts.elts;

    for (i = 0; i < wmcf->trusts.nelts; i++) {
        if (known[i].file.len == value[1].len
            && ngx_strncmp(known[i].file.data, value[1].data, value[1].len)
               == 0)
        {
            wlcf->trust = known[i].trust;
            return NGX_CONF_OK;
        }
    }

    wlcf->trust = ngx_http_wafcert_trust_read(cf, &value[1]);
    if (wlcf->trust == NULL) {
        return NGX_CONF_ERROR;
    }

    known = ngx_array_push(&wmcf->trusts);
    if (known == NULL) {
        return NGX_CONF_ERROR;
    }

    known->file = value[1];
    known->trust = wlcf->trust;

    return NGX_CONF_OK;
}


static wafcert_trust_t *
ngx_http_wafcert_trust_read(ngx_conf_t *cf, ngx_str_t *file)
{
    ngx_str_t            text;
    wafcert_trust_t     *trust;
    wafcert_verdict_t    verdict;
    ngx_pool_cleanup_t  *cln;

    if (ngx_http_wafcert_read_file(cf, cf->temp_pool, file, &text) != NGX_OK) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    switch (wafcert_trust_create(&trust, &text, &verdict)) {

    case NGX_OK:
        cln->handler = ngx_http_wafcert_trust_cleanup;
        cln->data = trust;
        return trust;

    case NGX_DECLINED:
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid trusted certificates \"%V\": %s", file,
                           verdict.message);
        return NULL;

    default:
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "trusted certificates \"%V\": no memory, or an "
                           "OpenSSL without what is needed", file);
        return NULL;
    }
}


static void
ngx_http_wafcert_trust_cleanup(void *data)
{
    wafcert_trust_free(data);
}
