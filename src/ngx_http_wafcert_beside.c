
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"


/*
 * What nginx's own directives say that stand beside ours.  Their modules keep
 * it to themselves, so their setters are replaced while a configuration is
 * read: first nginx takes the directive, then it is noted.
 */


typedef char *(*ngx_http_wafcert_note_pt)(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf);

typedef struct {
    const char                *module;
    const char                *name;
    ngx_http_wafcert_note_pt   note;

    ngx_command_t             *cmd;
    char                    *(*set)(ngx_conf_t *cf, ngx_command_t *cmd,
                                    void *conf);
} ngx_http_wafcert_beside_t;


static ngx_command_t *ngx_http_wafcert_find_command(ngx_cycle_t *cycle,
    const char *module, const char *name);
static char *ngx_http_wafcert_beside_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void ngx_http_wafcert_beside_end(void *data);
static char *ngx_http_wafcert_note_proxy_pass(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf);
static char *ngx_http_wafcert_note_rewrite(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf);
static char *ngx_http_wafcert_note_mirror(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf);
static char *ngx_http_wafcert_note_mirror_body(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf);
static ngx_uint_t ngx_http_wafcert_rewrites_into(ngx_str_t *rewrite,
    ngx_str_t *name);
static ngx_str_t ngx_http_wafcert_url_uri(ngx_str_t *url);
static char *ngx_http_wafcert_compile_url(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *conf);
static void ngx_http_wafcert_warn_rewrite(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf);


static ngx_http_wafcert_beside_t  ngx_http_wafcert_besides[] = {

    { "ngx_http_proxy_module", "proxy_pass",
      ngx_http_wafcert_note_proxy_pass, NULL, NULL },

    { "ngx_http_rewrite_module", "rewrite",
      ngx_http_wafcert_note_rewrite, NULL, NULL },

    { "ngx_http_mirror_module", "mirror",
      ngx_http_wafcert_note_mirror, NULL, NULL },

    { "ngx_http_mirror_module", "mirror_request_body",
      ngx_http_wafcert_note_mirror_body, NULL, NULL },

    { NULL, NULL, NULL, NULL, NULL }
};


/* The temporary pool ends with the configuration, however that ends. */

ngx_int_t
ngx_http_wafcert_beside_init(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_wafcert_beside_t  *b;

    cln = ngx_pool_cleanup_add(cf->temp_pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_wafcert_beside_end;

    for (b = ngx_http_wafcert_besides; b->name; b++) {

        b->cmd = ngx_http_wafcert_find_command(cf->cycle, b->module, b->name);

        if (b->cmd) {
            b->set = b->cmd->set;
            b->cmd->set = ngx_http_wafcert_beside_set;
        }
    }

    return NGX_OK;
}


static void
ngx_http_wafcert_beside_end(void *data)
{
    ngx_http_wafcert_beside_t  *b;

    for (b = ngx_http_wafcert_besides; b->name; b++) {

        if (b->cmd) {
            b->cmd->set = b->set;
            b->cmd = NULL;
        }
    }
}


static ngx_command_t *
ngx_http_wafcert_find_command(ngx_cycle_t *cycle, const char *module,
    const char *name)
{
    ngx_uint_t      i;
    ngx_command_t  *cmd;

    for (i = 0; cycle->modules[i]; i++) {

        if (ngx_strcmp(cycle->modules[i]->name, module) != 0) {
            continue;
        }

        for (cmd = cycle->modules[i]->commands; cmd && cmd->name.len; cmd++) {
            if (ngx_strcmp(cmd->name.data, name) == 0) {
                return cmd;
            }
        }
    }

    return NULL;
}


static char *
ngx_http_wafcert_beside_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                         *rv;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_wafcert_beside_t    *b;
    ngx_http_wafcert_loc_conf_t  *wlcf;

    for (b = ngx_http_wafcert_besides; b->cmd != cmd; b++) { /* void */ }

    rv = b->set(cf, cmd, conf);

    if (rv == NGX_CONF_OK) {
        wlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_wafcert_module);
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

        rv = b->note(cf, wlcf, clcf);
    }

    return rv;
}


static char *
ngx_http_wafcert_note_proxy_pass(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    wlcf->proxy_pass = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_wafcert_note_rewrite(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t  *value, *rewrite;

    value = cf->args->elts;

    if (clcf->name.len) {
        wlcf->rewrites_within |= ngx_http_wafcert_rewrites_into(&value[2],
                                                                &clcf->name);
        return NGX_CONF_OK;
    }

    /* after any other one nginx looks for the location's prefix again */

    if (cf->args->nelts != 4 || ngx_strcmp(value[3].data, "break") != 0) {
        return NGX_CONF_OK;
    }

    if (wlcf->rewrites == NULL) {
        wlcf->rewrites = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (wlcf->rewrites == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rewrite = ngx_array_push(wlcf->rewrites);
    if (rewrite == NULL) {
        return NGX_CONF_ERROR;
    }

    *rewrite = value[2];

    return NGX_CONF_OK;
}


/* whether it leaves, or puts, the path below a location's prefix */

static ngx_uint_t
ngx_http_wafcert_rewrites_into(ngx_str_t *rewrite, ngx_str_t *name)
{
    size_t  len;

    len = name->len;

    /* what "/waf/" and "/waf$1" begin with */

    if (len && name->data[len - 1] == '/') {
        len--;
    }

    return rewrite->len > len
           && ngx_strncmp(rewrite->data, name->data, len) == 0
           && (rewrite->data[len] == '/' || rewrite->data[len] == '$');
}


static char *
ngx_http_wafcert_note_mirror(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    wlcf->mirror = (ngx_strcmp(value[1].data, "off") != 0);

    return NGX_CONF_OK;
}


static char *
ngx_http_wafcert_note_mirror_body(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    wlcf->mirror_body = (ngx_strcasecmp(value[1].data, (u_char *) "on") == 0);

    return NGX_CONF_OK;
}


/* What follows the server's address in a URL, as nginx reads it. */

static ngx_str_t
ngx_http_wafcert_url_uri(ngx_str_t *url)
{
    u_char     *p, *last, *args;
    ngx_str_t   uri;

    last = url->data + url->len;

    p = ngx_strlchr(url->data, last, ':');
    p = (p && last - p >= 3) ? p + sizeof("://") - 1 : last;

    if (last - p > 5 && ngx_strncasecmp(p, (u_char *) "unix:", 5) == 0) {
        p = ngx_strlchr(p + 5, last, ':');
        p = p ? p + 1 : last;

    } else {
        args = ngx_strlchr(p, last, '?');
        p = ngx_strlchr(p, last, '/');

        if (p == NULL || (args && args < p)) {
            p = args ? args : last;
        }
    }

    uri.data = p;
    uri.len = last - p;

    return uri;
}


char *
ngx_http_wafcert_beside_validate(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t  uri;

    ngx_http_wafcert_warn_rewrite(cf, conf, clcf);

    if (conf->proxy_pass.len == 0 || conf->proxy_maps) {
        return NGX_CONF_OK;
    }

    if (ngx_http_script_variables_count(&conf->proxy_pass)) {
        return ngx_http_wafcert_compile_url(cf, conf);
    }

    uri = ngx_http_wafcert_url_uri(&conf->proxy_pass);

    if (uri.len == 0) {
        return NGX_CONF_OK;
    }

    conf->proxy_maps = 1;

    if ((uri.len == 1 && uri.data[0] == '/')
        || (uri.len == clcf->name.len
            && ngx_strncmp(uri.data, clcf->name.data, uri.len) == 0))
    {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"proxy_pass\" has the URI \"%V\" in location \"%V\", "
                       "which has \"wafcert_validate\": the WAF would see "
                       "another path than is judged; \"/\" and the location's "
                       "own prefix are possible", &uri, &clcf->name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_wafcert_beside_named(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *conf)
{
    return ngx_http_script_variables_count(&conf->proxy_pass)
           ? ngx_http_wafcert_compile_url(cf, conf) : NGX_CONF_OK;
}


static char *
ngx_http_wafcert_compile_url(ngx_conf_t *cf, ngx_http_wafcert_loc_conf_t *conf)
{
    ngx_http_compile_complex_value_t  ccv;

    conf->proxy_url = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (conf->proxy_url == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &conf->proxy_pass;
    ccv.complex_value = conf->proxy_url;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


/* routes stand at "/v1/" then: a prefix counts where nginx has looked for it */

static void
ngx_http_wafcert_warn_rewrite(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t   *rewrite;
    ngx_uint_t   i;

    if (conf->rewrites == NULL || conf->rewrites_within || conf->path.len
        || conf->base.len == sizeof("/v1/") - 1)
    {
        return;
    }

    rewrite = conf->rewrites->elts;

    for (i = 0; i < conf->rewrites->nelts; i++) {

        if (ngx_http_wafcert_rewrites_into(&rewrite[i], &clcf->name)) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "the server's \"rewrite ... %V break\" leads to "
                               "location \"%V\", which has "
                               "\"wafcert_validate\" and no \"path=\": what "
                               "it rewrites is judged at \"/v1/\"",
                               &rewrite[i], &clcf->name);
        }
    }
}


ngx_int_t
ngx_http_wafcert_beside_sends(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_str_t *uri)
{
    ngx_str_t  url;

    ngx_str_null(uri);

    if (wlcf->proxy_url) {

        if (ngx_http_complex_value(r, wlcf->proxy_url, &url) != NGX_OK) {
            return NGX_ERROR;
        }

        *uri = ngx_http_wafcert_url_uri(&url);
    }

    if (uri->len == 0) {
        *uri = (r->valid_unparsed_uri && !wlcf->proxy_maps) ? r->unparsed_uri
                                                            : r->uri;
    }

    return NGX_OK;
}
